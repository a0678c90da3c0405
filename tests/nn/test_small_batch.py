"""One value per channel in training. pytorch#4534, pytorch#13223."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import normwise as nw
from normwise.errors import ShapeError

CASES = [(nw.BatchNorm1d, (1, 3)), (nw.BatchNorm1d, (1, 3, 1)), (nw.BatchNorm2d, (1, 3, 1, 1))]


@pytest.mark.parametrize(("make", "shape"), CASES)
def test_is_an_error_that_says_what_to_do(make, shape):
    layer = make(3)
    before = copy.deepcopy(layer.state_dict())
    with pytest.raises(ShapeError) as raised:
        layer(torch.randn(shape))
    for way_out in ("a larger batch", "drop_last=True", "eval()", "small_batch='running'"):
        assert way_out in str(raised.value)
    assert isinstance(raised.value, ValueError)
    torch.testing.assert_close(layer.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize(("make", "shape"), CASES)
@pytest.mark.parametrize("channel_dim", [1, -1])
def test_or_takes_the_running_statistics(make, shape, channel_dim):
    layer = make(3, small_batch="running", activation="tanh", channel_dim=channel_dim)
    nn.init.normal_(layer.weight), layer.running_mean.normal_(), layer.running_var.uniform_(1, 2)
    before = copy.deepcopy(layer.state_dict())
    x = torch.randn(shape).movedim(1, channel_dim).requires_grad_()
    upstream = torch.randn_like(x)
    got = layer(x)
    gradients = torch.autograd.grad(got, [x, layer.weight, layer.bias], upstream)
    torch.testing.assert_close(layer.state_dict(), before, rtol=0, atol=0)
    want = layer.eval()(x)
    torch.testing.assert_close(got, want, rtol=0, atol=0)
    torch.testing.assert_close(gradients, torch.autograd.grad(want, [x, layer.weight, layer.bias], upstream))


def test_two_values_are_a_batch_again():
    layer, other = nw.BatchNorm1d(3, small_batch="running"), nw.BatchNorm1d(3)
    x = torch.randn(2, 3)
    torch.testing.assert_close(layer(x), other(x), rtol=0, atol=0)
    torch.testing.assert_close(layer.state_dict(), other.state_dict(), rtol=0, atol=0)


def epoch(layer):
    """Nine examples in batches of four."""
    net = nn.Sequential(nn.Linear(2, 3), layer, nn.Linear(3, 1))
    for x in torch.randn(9, 2).split(4):
        net(x).square().mean().backward()
    return layer


def test_a_last_batch_of_one_trains():
    layer = epoch(nw.BatchNorm1d(3, small_batch="running"))
    assert layer.weight.grad.isfinite().all()
    assert layer.num_batches_tracked.item() == 2


@pytest.mark.xfail(strict=True, raises=ValueError, reason="torch refuses the last batch")
def test_a_last_batch_of_one_with_torchs_layer():
    epoch(nn.BatchNorm1d(3))


def test_compiled():
    layer = nw.BatchNorm1d(3, small_batch="running")
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    twin = copy.deepcopy(layer)
    for n in (4, 1, 4):
        x = torch.randn(n, 3)
        torch.testing.assert_close(compiled(x), twin(x))
    torch.testing.assert_close(layer.state_dict(), twin.state_dict())
    assert layer.num_batches_tracked.item() == 2
