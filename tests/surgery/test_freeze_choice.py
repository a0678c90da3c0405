"""What is chosen to be frozen, what is told of it, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import normwise as nw
from freezing import network, norms, snapshot
from normwise.errors import InvalidArgumentError, SurgeryError
from normwise.surgery import batch_normalize, freeze, unfreeze


def mixed():
    return nn.Sequential(
        nn.BatchNorm1d(3, track_running_stats=False), nn.LazyBatchNorm1d(), nn.BatchNorm1d(3), nn.BatchNorm1d(3),
        nn.InstanceNorm1d(3, affine=True, track_running_stats=True), nn.BatchNorm1d(3, affine=False), nn.Tanh(),
    )  # fmt: skip


UNKNOWN = "left alone: its number of features is unknown until it has seen a batch"


def test_says_what_it_did():
    net = freeze(mixed(), skip=["2", "5"]).model
    assert str(freeze(net)).splitlines()[2:] == [
        "0     BatchNorm1d      BatchNorm1d      left alone: it has no running statistics",
        f"1     LazyBatchNorm1d  LazyBatchNorm1d  {UNKNOWN}",
        "2     BatchNorm1d      FrozenBatchNorm  statistics, weight and bias frozen",
        "3     FrozenBatchNorm  FrozenBatchNorm  left alone: it is already frozen",
        "5     BatchNorm1d      FrozenBatchNorm  statistics frozen",
    ]
    assert str(unfreeze(net)).splitlines()[2:] == [
        "3     FrozenBatchNorm  BatchNorm1d  statistics, weight and bias unfrozen"
    ]


def test_says_what_it_did_to_weight_and_bias():
    surgery = freeze(mixed(), statistics=False)
    assert str(surgery).splitlines()[2:] == [
        "0     BatchNorm1d      BatchNorm1d      weight and bias frozen",
        f"1     LazyBatchNorm1d  LazyBatchNorm1d  {UNKNOWN}",
        "2     BatchNorm1d      BatchNorm1d      weight and bias frozen",
        "3     BatchNorm1d      BatchNorm1d      weight and bias frozen",
        "5     BatchNorm1d      BatchNorm1d      left alone: it has no weight and no bias",
    ]
    assert [p.requires_grad for p in surgery.model[4].parameters()] == [True, True]
    assert surgery.renamed == {}


def test_what_is_left_alone_is_as_it_was():
    net = mixed()
    model = freeze(net).model
    assert [type(model[place]) for place in (0, 1, 4)] == [nn.BatchNorm1d, nn.LazyBatchNorm1d, nn.InstanceNorm1d]
    assert all(p.requires_grad for place in (0, 1, 4) for p in model[place].parameters())
    model(torch.randn(4, 3, 2))
    assert type(model[1]) is nn.BatchNorm1d
    assert not torch.equal(model[4].running_mean, net[4].running_mean)
    assert torch.equal(model[2].running_mean, net[2].running_mean)


@pytest.mark.parametrize("first", ["statistics", "affine"])
def test_one_part_after_the_other_is_both(first):
    net = network()
    other = {"statistics": "affine", "affine": "statistics"}[first]
    model = freeze(freeze(net, **{other: False}).model, **{first: False}).model
    assert snapshot(model) == snapshot(freeze(net).model)
    assert snapshot(unfreeze(model).model) == snapshot(net)


@pytest.mark.parametrize("skip", ["1", ["1"], lambda name, module: name == "1"])
def test_skip(skip):
    model = freeze(network(), skip=skip).model
    assert [type(norm) for norm in norms(model)] == [nn.BatchNorm2d, nw.FrozenBatchNorm]
    assert model[1].weight.requires_grad


@pytest.mark.parametrize("skip", ["0", "1.0", lambda name, module: name == "1.0"])
def test_a_shared_layer_is_skipped_under_any_of_its_names(skip):
    norm = nn.BatchNorm2d(3)
    net = nn.Sequential(norm, nn.Sequential(norm), nn.BatchNorm2d(3))
    assert [change.name for change in freeze(net, skip=skip).changes] == ["2"]


def test_a_frozen_place_counts_as_normalized():
    net = freeze(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU())).model
    with pytest.raises(SurgeryError, match="places already normalized: 1"):
        batch_normalize(net)


@pytest.mark.parametrize(
    ("net", "options", "says"),
    [
        (nn.Sequential(nn.Linear(3, 2)), {}, "found none (normalizations in the network: none)"),
        (nn.Sequential(nn.GroupNorm(1, 2), nn.GroupNorm(1, 2)), {}, "found none (normalizations in the network: "),
        (nn.Sequential(nn.GroupNorm(1, 2), nn.GroupNorm(1, 2)), {}, "GroupNorm × 2"),
        (network(), {"skip": lambda *_: True}, "found none (normalizations in the network: BatchNorm2d × 2)"),
        (nn.BatchNorm1d(3, track_running_stats=False), {}, "found the network itself: it has no running statistics"),
        (freeze(network()).model, {}, "found 1: it is already frozen; 3: it is already frozen"),
        (network(), {"skip": ["norm"]}, "skip: unknown module 'norm'. Allowed: 0, 1, 2, 3"),
    ],
)
@pytest.mark.parametrize("inplace", [False, True])
def test_nothing_to_freeze_is_an_error_that_leaves_the_network(net, options, says, inplace):
    before = snapshot(net)
    with pytest.raises(SurgeryError) as error:
        freeze(net, inplace=inplace, **options)
    assert says in str(error.value)
    assert snapshot(net) == before


def test_nothing_to_unfreeze_is_an_error():
    with pytest.raises(SurgeryError, match=r"nothing to unfreeze in Sequential: .* found none .*BatchNorm2d × 2"):
        unfreeze(network())


def test_neither_part_is_an_error():
    with pytest.raises(InvalidArgumentError, match="statistics=False and affine=False"):
        freeze(network(), statistics=False, affine=False)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("wrap", [lambda net: net, lambda net: nn.Sequential(net)], ids=["root", "inside"])
@pytest.mark.parametrize("made", [torch.compile, torch.jit.script], ids=["compiled", "scripted"])
@pytest.mark.parametrize("operation", [freeze, unfreeze])
def test_a_compiled_network_is_refused(operation, made, wrap):
    net = wrap(made(nn.Sequential(nn.BatchNorm2d(3))))
    with pytest.raises(SurgeryError, match=f"cannot {operation.__name__} .*compiled or scripted.*, then compile"):
        operation(net)


def test_a_compiled_network_without_normalization_is_refused_too():
    with pytest.raises(SurgeryError, match="compiled or scripted"):
        freeze(torch.compile(nn.Linear(3, 3)))


def test_a_compiled_part_without_statistics_is_no_obstacle():
    net = nn.Sequential(torch.compile(nn.Linear(3, 3)), nn.BatchNorm1d(3))
    assert type(freeze(net).model[1]) is nw.FrozenBatchNorm
