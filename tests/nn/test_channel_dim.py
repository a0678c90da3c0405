"""Channels on the last axis, without a transpose. pytorch#21856."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import normwise as nw
from normwise.errors import ShapeError

SHAPES = [(6, 5), (4, 9, 5), (3, 4, 6, 5), (2, 3, 4, 2, 5), (8, 300, 64), (0, 9, 5)]
CLASSES = {2: nw.BatchNorm1d, 3: nw.BatchNorm1d, 4: nw.BatchNorm2d, 5: nw.BatchNorm3d}
# Two float64 implementations that add the same values in another order.
FLOAT64 = {"rtol": 1e-10, "atol": 1e-12}


def pair(shape, **options):
    """A layer for the last axis and one for axis 1, with equal parameters and statistics."""
    last, second = (CLASSES[len(shape)](shape[-1], channel_dim=dim, dtype=torch.float64, **options) for dim in (-1, 1))
    for parameter in last.parameters():
        nn.init.normal_(parameter)
    last.running_mean.normal_()
    second.load_state_dict(last.state_dict())
    return last, second


def step(layer, tensors, upstream):
    y = layer(*tensors)
    return y, *torch.autograd.grad(y, [*tensors, *layer.parameters()], upstream)


def is_transposed(last, second, tensors, upstream):
    """The outputs, gradients and statistics of a layer for the last axis are those of one for axis 1."""
    got = step(last, [t.requires_grad_() for t in tensors], upstream)
    want = step(second, [t.detach().movedim(-1, 1).requires_grad_() for t in tensors], upstream.movedim(-1, 1))
    arranged = 1 + len(tensors)
    for ours, theirs in zip(got[:arranged], want[:arranged], strict=True):
        torch.testing.assert_close(ours, theirs.movedim(1, -1), **FLOAT64)
        assert ours.is_contiguous()
    torch.testing.assert_close(got[arranged:], want[arranged:], **FLOAT64)
    torch.testing.assert_close(last.state_dict(), second.state_dict(), **FLOAT64)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_is_the_transposed_computation(shape, training):
    last, second = (layer.train(training) for layer in pair(shape, activation="silu"))
    x, residual, upstream = (torch.randn(shape).double() for _ in range(3))
    is_transposed(last, second, [x, residual], upstream)


def test_is_the_transposed_computation_where_the_kernels_split_the_rows():
    shape = (8, 70, 60, 16)
    is_transposed(*pair(shape), [torch.randn(shape).double()], torch.randn(shape).double())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    layer, wide = nw.BatchNorm1d(5, channel_dim=-1), nw.BatchNorm1d(5, channel_dim=-1)
    x = torch.randn(4, 9, 5).to(dtype)
    y = layer(x)
    assert y.dtype is dtype
    # One rounding of an output of up to about 4.
    torch.testing.assert_close(y.float(), wide(x.float()), rtol=0, atol=4 * torch.finfo(dtype).eps)
    torch.testing.assert_close(layer.state_dict(), wide.state_dict())


def test_inputs_with_gaps_are_read_right():
    last, second = pair((4, 9, 5))
    x = torch.randn(9, 8, 10).double()[:, ::2, ::2].transpose(0, 1)
    torch.testing.assert_close(last(x), second(x.movedim(-1, 1)).movedim(1, -1), **FLOAT64)


@pytest.mark.parametrize("shape", [(8, 300, 64), (4, 9, 5)], ids=str)
def test_no_transpose_and_no_copy_is_made(shape):
    layer, x, upstream = (
        CLASSES[3](shape[-1], channel_dim=-1),
        torch.randn(shape, requires_grad=True),
        torch.randn(shape),
    )
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        layer(x).backward(upstream)
    moves = {f"aten::{name}" for name in ("transpose", "permute", "movedim", "contiguous", "clone", "copy_")}
    assert not moves & {event.key for event in profile.key_averages()}


def test_compiled_and_exported():
    layer = nw.BatchNorm2d(5, channel_dim=-1)
    x = torch.randn(3, 4, 6, 5)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    twin = nw.BatchNorm2d(5, channel_dim=-1)
    torch.testing.assert_close(compiled(x), twin(x))
    torch.testing.assert_close(layer.state_dict(), twin.state_dict())
    exported = torch.export.export(layer.eval(), (x,)).module()
    torch.testing.assert_close(exported(x), layer(x))


@pytest.mark.parametrize("training", [True, False])
def test_another_number_of_channels_is_an_error_that_names_the_axis(training):
    layer = nw.BatchNorm1d(9, channel_dim=-1).train(training)
    with pytest.raises(ShapeError, match=r"expected 9 channels on axis -1, got x of shape \(4, 9, 5\)"):
        layer(torch.randn(4, 9, 5))
