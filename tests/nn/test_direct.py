"""The short way of small tensors and the general one are the same."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import normwise as nw
from normwise.nn import direct

OPTIONS = [{}, {"activation": "gelu"}, {"momentum": None}, {"affine": False}, {"bias": False}, {"eps": 0.1}]


def steps(layer, batches, upstream, residual):
    outcome = []
    for k, x in enumerate(batches):
        x, r = x.detach().requires_grad_(), upstream.clone().requires_grad_() if residual else None
        y = layer.train(k < 3)(x, r)
        outcome += [y, *torch.autograd.grad(y, [x, *layer.parameters(), *[r] * residual], upstream)]
    return outcome


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("shape", [(6, 4), (2, 4, 3), (60, 4, 5)], ids=str)
@pytest.mark.parametrize("residual", [False, True])
def test_both_ways_agree_but_for_the_last_digit_of_the_variance(shape, residual, options, monkeypatch):
    short = nw.BatchNorm1d(4, **options)
    long, upstream = copy.deepcopy(short), torch.randn(shape)
    batches = [torch.randn(shape) + 2, torch.full(shape, torch.nan), *torch.randn(2, *shape)]
    got = steps(short, batches, upstream, residual)
    monkeypatch.setattr(direct, "forward", lambda layer, x, residual: None)
    want = steps(long, batches, upstream, residual)
    torch.testing.assert_close(got[: len(got) * 3 // 4], want[: len(want) * 3 // 4], rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(got, want, equal_nan=True)
    # The long way makes the variance biased and unbiased again.
    torch.testing.assert_close(short.state_dict(), long.state_dict(), rtol=1e-6, atol=0)
    assert short.skipped.tolist() == long.skipped.tolist() == [1] * 4


def taken(layer, x, residual=None):
    return direct.forward(layer, x, residual) is not None


def test_it_is_taken_where_nothing_more_must_be_decided():
    assert taken(nw.BatchNorm1d(4), torch.randn(6, 4))
    assert taken(nw.BatchNorm2d(4), torch.randn(6, 4, 3, 3).to(memory_format=torch.channels_last))
    assert taken(nw.BatchNorm1d(4).double(), torch.randn(6, 4).double())
    assert taken(nw.BatchNorm1d(4).eval(), torch.randn(1, 4))
    assert taken(nw.BatchNorm1d(4), torch.randn(6, 4), torch.randn(6, 4))
    assert not taken(nw.BatchNorm1d(4), torch.randn(6, 4), torch.randn(6, 1))
    assert not taken(nw.BatchNorm1d(4), torch.randn(6, 4), torch.randn(6, 4).double())


def with_weight(layer, weight):
    layer.weight.data = weight
    return layer


class Wrapped(torch.Tensor):
    pass


ELSEWHERE = {
    "no statistics": (nw.BatchNorm1d(4, track_running_stats=False), torch.randn(6, 4)),
    "another type": (nw.BatchNorm1d(4), torch.randn(6, 4).double()),
    "half": (nw.BatchNorm1d(4).half(), torch.randn(6, 4).half()),
    "large": (nw.BatchNorm1d(4), torch.randn(20000, 4)),
    "one value": (nw.BatchNorm1d(4), torch.randn(1, 4)),
    "no value": (nw.BatchNorm1d(4), torch.randn(0, 4)),
    "other channels": (nw.BatchNorm1d(4), torch.randn(6, 5)),
    "last axis": (nw.BatchNorm1d(4, channel_dim=-1), torch.randn(6, 3, 4)),
    "eps": (nw.BatchNorm1d(4, eps=0.0), torch.randn(6, 4)),
    "subclass": (nw.BatchNorm1d(4), torch.randn(6, 4).as_subclass(Wrapped)),
    "parametrized": (nn.utils.parametrizations.weight_norm(nw.BatchNorm2d(4), dim=None), torch.randn(6, 4, 2, 2)),
    "a weight of another size": (with_weight(nw.BatchNorm1d(4), torch.ones(1)), torch.randn(6, 4)),
    "no weights": (with_weight(nw.BatchNorm1d(4), torch.ones(0)), torch.randn(6, 4)),
    "another device": (nw.BatchNorm1d(4, device="meta"), torch.randn(6, 4, device="meta")),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_it_is_not_taken_elsewhere(name):
    layer, x = ELSEWHERE[name]
    before = copy.deepcopy(layer.state_dict()) if x.device.type == "cpu" else None
    assert not taken(layer, x)
    if before is not None:
        torch.testing.assert_close(layer.state_dict(), before, rtol=0, atol=0)
