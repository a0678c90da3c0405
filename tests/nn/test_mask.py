"""Padded positions count neither in the moments nor in the gradient. pytorch#70529."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import normwise as nw
from normwise.errors import InvalidArgumentError, ShapeError

PADDING = {"zeros": 0.0, "large": 1e30, "nan": float("nan"), "inf": float("inf")}
# Two ways to add up a few hundred float64 values of about 1.
FLOAT64 = {"rtol": 1e-10, "atol": 1e-12}


def sequences(channels, channel_dim, length=9):
    """Sequences of several lengths, padded to one, and their mask."""
    lengths = torch.tensor([9, 4, 1, 6, 7])
    mask = torch.arange(length) < lengths[:, None]
    x = torch.randn(5, length, channels).double() * 2 + 1
    return (x if channel_dim == -1 else x.mT), mask


def columns(x, mask, channel_dim):
    """The values that count, (values, C)."""
    return (x if channel_dim == -1 else x.mT)[mask]


def padded(x, mask, channel_dim, value):
    hidden = ~(mask.unsqueeze(-1) if channel_dim == -1 else mask.unsqueeze(1))
    return torch.where(hidden, value, x)


@pytest.mark.parametrize("padding", PADDING)
@pytest.mark.parametrize("channel_dim", [1, -1])
@pytest.mark.parametrize("training", [True, False])
def test_equals_the_unpadded_computation_whatever_the_padding_holds(padding, channel_dim, training):
    make = {"activation": "silu", "dtype": torch.float64}
    layer = nw.BatchNorm1d(3, channel_dim=channel_dim, **make).train(training)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    layer.running_mean.normal_()
    flat = nw.BatchNorm1d(3, **make).train(training)
    flat.load_state_dict(layer.state_dict())
    x, mask = sequences(3, channel_dim)
    residual, upstream = torch.randn_like(x), torch.randn_like(x)
    x, residual, upstream = (padded(t, mask, channel_dim, PADDING[padding]) for t in (x, residual, upstream))
    x.requires_grad_(), residual.requires_grad_()

    y = layer(x, residual, mask)
    grads = torch.autograd.grad(y, [x, residual, *layer.parameters()], upstream)
    inputs = [columns(t.detach(), mask, channel_dim).requires_grad_() for t in (x, residual)]
    want = flat(*inputs)
    want_grads = torch.autograd.grad(want, [*inputs, *flat.parameters()], columns(upstream, mask, channel_dim))

    torch.testing.assert_close(columns(y, mask, channel_dim), want, **FLOAT64)
    for got, expected in zip(grads[:2], want_grads[:2], strict=True):
        torch.testing.assert_close(columns(got, mask, channel_dim), expected, **FLOAT64)
        assert not columns(got, ~mask, channel_dim).any()
    assert not columns(y, ~mask, channel_dim).any()
    torch.testing.assert_close(grads[2:], want_grads[2:], **FLOAT64)
    torch.testing.assert_close(layer.state_dict(), flat.state_dict(), **FLOAT64)
    assert not layer.skipped.any()


@pytest.mark.xfail(strict=True, reason="torch's layer takes no mask, and padding moves its statistics")
def test_torchs_layer_counts_padding():
    x, mask = sequences(3, 1)
    layer, flat = nn.BatchNorm1d(3).double(), nn.BatchNorm1d(3).double()
    layer(padded(x, mask, 1, 0.0)), flat(columns(x, mask, 1))
    torch.testing.assert_close(layer.running_mean, flat.running_mean)


@pytest.mark.parametrize("shape", [(5, 9), (5, 1, 9)], ids=str)
def test_the_channel_axis_may_be_there(shape):
    x, mask = sequences(3, 1)
    layer, other = nw.BatchNorm1d(3).double(), nw.BatchNorm1d(3).double()
    torch.testing.assert_close(layer(x, mask=mask.reshape(shape)), other(x, mask=mask), rtol=0, atol=0)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_examples_can_be_left_out_in_any_number_of_axes(dims):
    make = (nw.BatchNorm1d, nw.BatchNorm2d, nw.BatchNorm3d)[dims - 1]
    layer, part = make(2, dtype=torch.float64), make(2, dtype=torch.float64)
    x, keep = torch.randn(6, 2, *[3] * dims).double(), torch.tensor([1, 0, 1, 1, 0, 1]).bool()
    y = layer(x, mask=keep.reshape(6, *[1] * dims))
    torch.testing.assert_close(y[keep], part(x[keep]), **FLOAT64)
    torch.testing.assert_close(layer.state_dict(), part.state_dict(), **FLOAT64)


def test_a_mask_that_hides_nothing_changes_nothing():
    x = torch.randn(8, 4, 70, 60).double()
    layer, other = nw.BatchNorm2d(4).double(), nw.BatchNorm2d(4).double()
    # The same kernel but for one comparison per value; the order of the sums may differ.
    torch.testing.assert_close(layer(x, mask=torch.ones(8, 70, 60).bool()), other(x))
    torch.testing.assert_close(layer.state_dict(), other.state_dict())


@pytest.mark.parametrize("kept", [0, 1])
def test_too_few_values_to_have_a_variance_leave_the_statistics(kept):
    layer, x = nw.BatchNorm1d(3).double(), torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    y = layer(x, mask=torch.arange(5) < kept)
    assert not y.any()  # β where one value counts, and that is 0
    (grad,) = torch.autograd.grad(y, x, torch.randn_like(x))
    assert not grad.any()
    assert (layer.running_mean.tolist(), layer.running_var.tolist()) == ([0] * 3, [1] * 3)
    assert (layer.num_batches_tracked.item(), layer.skipped.tolist()) == (0, [0] * 3)


def test_a_batch_of_which_too_little_counts_does_not_weigh_in_the_plain_average(way):
    layer, other, x = nw.BatchNorm1d(3, momentum=None), nw.BatchNorm1d(3, momentum=None), torch.randn(5, 3, 2) + 9
    layer(torch.randn(5, 3, 2), mask=torch.arange(10).reshape(5, 2) < 1)
    layer(x), other(x)
    torch.testing.assert_close(layer.state_dict(), other.state_dict())


@pytest.mark.parametrize("training", [True, False])
def test_compiled_too(training):
    x, mask = sequences(3, 1)
    layer, residual = nw.BatchNorm1d(3, activation="silu").double().train(training), torch.randn_like(x)
    twin = copy.deepcopy(layer)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, residual, mask), twin(x, residual, mask), **FLOAT64)
    torch.testing.assert_close(layer.state_dict(), twin.state_dict(), **FLOAT64)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("mask", "error", "says"),
    [
        (torch.ones(5, 4).bool(), ShapeError, "mask must broadcast to (5, 9)"),
        (torch.ones(5, 3, 9).bool(), ShapeError, "got shape (5, 3, 9)"),
        (torch.ones(5, 9), InvalidArgumentError, "mask must be boolean, got torch.float32"),
    ],
)
def test_a_mask_that_does_not_fit_is_an_error(mask, error, says, training):
    layer = nw.BatchNorm1d(3).train(training)
    before = copy.deepcopy(layer.state_dict())
    with pytest.raises(error) as raised:
        layer(torch.randn(5, 3, 9), mask=mask)
    assert says in str(raised.value)
    torch.testing.assert_close(layer.state_dict(), before, rtol=0, atol=0)
