from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrizations, prune

import normwise as nw
from folds import chain, check, conv, error, expected, fold, folded, hooked, image, why
from normwise.surgery.folding.affine import ChannelAffine


def patched(network, name):
    module = network.get_submodule(name)
    original = module.forward
    module.forward = lambda x: original(x) * 2
    return network


@torch.no_grad()
def ran(network):
    """What pruning has computed has no history, so that it can be copied."""
    network(image)
    return network


def unshifted(network):
    network[0].running_mean.zero_()
    return network


LEFT = {
    "a hook on the convolution": (lambda: hooked(chain(conv(), nn.BatchNorm2d(3)), "0"), "hooks"),
    "a hook on the normalization": (lambda: hooked(chain(conv(), nn.BatchNorm2d(3)), "1"), "hooks"),
    "weight normalization": (lambda: chain(parametrizations.weight_norm(conv()), nn.BatchNorm2d(3)), "of its own"),
    "spectral normalization": (lambda: chain(parametrizations.spectral_norm(conv()), nn.BatchNorm2d(3)), "of its own"),
    "pruning": (lambda: ran(chain(prune.l1_unstructured(conv(), "weight", 0.5), nn.BatchNorm2d(3))), "hooks"),
    "a forward of its own": (lambda: patched(chain(conv(), nn.BatchNorm2d(3)), "0"), "of its own"),
    "a normalization with one": (lambda: patched(chain(conv(), nn.BatchNorm2d(3)), "1"), "of its own"),
    "zero padding": (lambda: chain(nn.BatchNorm2d(3), conv(3, padding=1)), "zero padding after a shift"),
    "padding that keeps the size": (lambda: chain(nn.BatchNorm2d(3), conv(3, padding="same")), "zero padding"),
    "transposed kernels overlap": (
        lambda: chain(nn.BatchNorm2d(3), nn.ConvTranspose2d(3, 2, 3)),
        "depends on the position",
    ),
    "an activation in between": (lambda: chain(conv(), nn.ReLU(), nn.BatchNorm2d(3)), "it follows 1 (ReLU)"),
    "dropout in between": (lambda: chain(conv(), nn.Dropout(), nn.BatchNorm2d(3)), "it follows 1 (Dropout)"),
    "an activation of its own": (lambda: chain(nw.BatchNorm2d(3, activation="tanh"), conv()), "its own activation"),
    "channels elsewhere": (lambda: chain(conv(), nw.BatchNorm2d(8, channel_dim=-1)), "another axis"),
}


@pytest.mark.parametrize("case", LEFT)
def test_what_cannot_be_folded_says_why_and_computes_the_same(case):
    make, reason = LEFT[case]
    network = make()
    if case in ("a hook on the normalization", "a normalization with one"):
        network.append(conv().double()).append(nn.BatchNorm2d(3).double().eval())
    surgery = fold(network, example=image)
    assert error(surgery.model(image), expected(network, image)) <= 1e-12
    norm = next(name for name, module in network.named_modules() if isinstance(module, _BatchNorm))
    assert reason in why(surgery, norm)
    assert norm not in folded(surgery)


FOLDABLE = {
    "no statistics of position": lambda: chain(conv(3, bias=False), nn.BatchNorm2d(3, affine=False)),
    "a bias only": lambda: chain(conv(), nw.BatchNorm2d(3, bias=False)),
    "other padding after a shift": lambda: chain(nn.BatchNorm2d(3), conv(3, padding=1, padding_mode="reflect")),
    "a pixel at a time": lambda: chain(nn.BatchNorm2d(3), nn.ConvTranspose2d(3, 2, 1)),
    "overlaps that are cut off": lambda: chain(nn.BatchNorm2d(3), nn.ConvTranspose2d(3, 2, 3, padding=2)),
    "no shift before zeros": lambda: unshifted(chain(nn.BatchNorm2d(3, affine=False), conv(3, padding=1))),
    "synchronized": lambda: chain(conv(), nn.SyncBatchNorm(3)),
    "frozen": lambda: nw.freeze(chain(conv(), nn.BatchNorm2d(3))).model,
    "frozen, ours": lambda: nw.freeze(chain(conv(), nw.BatchNorm2d(3, activation="gelu"))).model,
    "identities in between": lambda: chain(conv(), nn.Identity(), nn.BatchNorm2d(3)),
    "a Linear over the last axis": lambda: chain(nn.Linear(8, 5), nw.BatchNorm2d(5, channel_dim=-1)),
    "a Linear after it": lambda: chain(nw.BatchNorm2d(8, channel_dim=-1), nn.Linear(8, 5)),
    "an epsilon of its own": lambda: chain(conv(), nn.BatchNorm2d(3, eps=0.5)),
    "nested": lambda: chain(nn.Sequential(nn.Sequential(conv())), nn.Sequential(nn.BatchNorm2d(3))),
}


@pytest.mark.parametrize("case", FOLDABLE)
def test_what_can_be_folded_is(case):
    network = FOLDABLE[case]()
    surgery = fold(network, example=image)
    assert error(surgery.model(image), expected(network, image)) <= 1e-12
    assert len(folded(surgery)) == 1
    assert not any(isinstance(module, (_BatchNorm, nw.FrozenBatchNorm, ChannelAffine)) for module in surgery.model)


@pytest.mark.parametrize("features", [7, 5])
def test_a_normalization_over_another_axis_than_the_linear_map_s_is_not_folded(features):
    """(N, C, L) after a Linear: the channels are not its outputs, also where there are as many of both."""
    network = chain(nn.Linear(4, features), nn.BatchNorm1d(5))
    x = torch.randn(6, 5, 4, dtype=torch.float64)
    assert "another axis" in why(check(network, x, []), "1")


def test_channels_are_not_mistaken_for_positions_where_a_convolution_takes_no_batch():
    network = chain(nn.Conv1d(5, 5, 1), nn.BatchNorm1d(5))  # (C, L) to the one, (N, C) to the other
    check(network, torch.randn(5, 5, dtype=torch.float64), [])
