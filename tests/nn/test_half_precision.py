"""float16 and bfloat16: moments, parameters and statistics in float32. torchtitan#674, peft#1732."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import normwise as nw

HALF = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["float16", "bfloat16"])
# Our kernels take no float16.
CASES = pytest.mark.parametrize(
    ("dtype", "shape"),
    [(torch.float16, (16, 4, 5)), (torch.bfloat16, (16, 4, 5)), (torch.bfloat16, (8, 4, 3000))],
    ids=["float16", "bfloat16", "bfloat16 by kernels"],
)


def step(layer, x, upstream):
    x = x.detach().requires_grad_()
    y = layer(x)
    return y, *torch.autograd.grad(y, [x, *layer.parameters()], upstream)


@CASES
@pytest.mark.parametrize("training", [True, False])
def test_a_float32_layer_takes_half_inputs(dtype, shape, training):
    layer = nw.BatchNorm1d(4, activation="relu" if dtype is torch.float16 else None).train(training)
    nn.init.normal_(layer.weight)
    wide = copy.deepcopy(layer)
    x, upstream = (torch.randn(shape) + 2).to(dtype), torch.randn(shape).to(dtype)
    got, want = step(layer, x, upstream), step(wide, x.float(), upstream.float())
    assert [t.dtype for t in got] == [dtype, dtype, torch.float32, torch.float32]
    # Outputs and gradients of up to about 8 are rounded to the type, torch's kernel rounds y before the activation too.
    unit = torch.finfo(dtype).eps
    torch.testing.assert_close([t.float() for t in got[:2]], list(want[:2]), rtol=2 * unit, atol=8 * unit)
    size = shape[0] * shape[2]
    torch.testing.assert_close(list(got[2:]), list(want[2:]), rtol=2 * unit, atol=8 * unit * size**0.5)
    # The statistics are those of the same values, added up in float32 in another order.
    torch.testing.assert_close(layer.state_dict(), wide.state_dict(), rtol=1e-5, atol=1e-5)


@HALF
@pytest.mark.parametrize("training", [True, False])
def test_autocast(dtype, training):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nw.BatchNorm2d(4, activation="silu"), nn.Conv2d(4, 2, 3)).train(training)
    seen = []
    net[1].register_forward_hook(lambda _, inputs, y: seen.append((inputs[0].dtype, y.dtype)))
    with torch.autocast("cpu", dtype):
        y = net(torch.randn(4, 3, 8, 8))
    y.float().square().sum().backward()
    assert seen == [(dtype, dtype)]
    assert {t.dtype for t in (*net[1].parameters(), net[1].running_mean, net[1].running_var)} == {torch.float32}
    assert all(p.grad.dtype is torch.float32 and p.grad.isfinite().all() for p in net.parameters())


def test_values_that_float16_could_not_add_up():
    """The sum of squares is 4e9; float16 ends at 65504."""
    layer, x = nw.BatchNorm1d(1), torch.cat([torch.full((500, 1), 2000.0), torch.full((500, 1), -2000.0)]).half()
    y = layer(x)
    torch.testing.assert_close(y, x / 2000)
    torch.testing.assert_close(layer.running_var, torch.tensor([0.9 + 0.1 * 4e6 * 1000 / 999]))


@HALF
def test_a_variance_below_what_float16_can_hold(dtype):
    layer, x = nw.BatchNorm1d(1, eps=1e-12), (torch.randn(4000, 1) * 1e-4).to(dtype)
    # The deviation is 1 by definition; each output is rounded to the type.
    assert layer(x).detach().float().std() == pytest.approx(1, abs=torch.finfo(dtype).eps)


def cast_like_fsdp(layer, dtype):
    """What mixed precision of FSDP with ``buffer_dtype`` does: new data for floating-point buffers."""
    for buffer in layer.buffers():
        if buffer.is_floating_point():
            buffer.data = buffer.to(dtype)


@CASES
@pytest.mark.parametrize("parameters", ["cast", "float32"])
@pytest.mark.parametrize("inputs", ["cast", "float32"])
@pytest.mark.parametrize("training", [True, False])
def test_buffers_that_were_cast_are_survived(dtype, shape, parameters, inputs, training):
    layer = nw.BatchNorm1d(4).train(training)
    wide = copy.deepcopy(layer)
    cast_like_fsdp(layer, dtype)
    if parameters == "cast":
        for parameter in layer.parameters():
            parameter.data = parameter.to(dtype)
    x = torch.randn(shape) + 1
    for _ in range(3):
        y = layer(x.to(dtype).requires_grad_() if inputs == "cast" else x)
        want = wide(x)
    assert y.dtype is (dtype if inputs == "cast" else torch.float32)
    y.backward(torch.randn(shape).to(y.dtype))
    assert all(parameter.grad.isfinite().all() for parameter in layer.parameters())
    assert (layer.running_mean.dtype, layer.running_var.dtype) == (dtype, dtype)
    unit = torch.finfo(dtype).eps
    # Statistics of about 1 are rounded to the type once per step, inputs and outputs of up to about 5 once.
    torch.testing.assert_close(y.float(), want, rtol=8 * unit, atol=8 * unit)
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(getattr(layer, name).float(), getattr(wide, name), rtol=4 * unit, atol=4 * unit)
    assert layer.num_batches_tracked.item() == (3 if training else 0)


@pytest.mark.xfail(strict=True, raises=(RuntimeError, ValueError), reason="torch refuses the mixture")
def test_buffers_that_were_cast_with_torchs_layer():
    layer = nn.BatchNorm1d(4)
    cast_like_fsdp(layer, torch.bfloat16)
    layer(torch.randn(16, 4))


def test_a_small_momentum_does_not_vanish_in_the_update():
    """The update is computed in float32 and rounded once, to the nearest value that the buffer can hold."""
    layer = nw.BatchNorm1d(1, momentum=0.5).bfloat16()
    layer(torch.tensor([[1.0], [3.0]]).bfloat16())
    assert (layer.running_mean.item(), layer.running_var.item()) == (1.0, 1.5)


@HALF
def test_half_of_a_network_and_back(dtype):
    layer = nw.BatchNorm1d(4).to(dtype)
    layer(torch.randn(16, 4).to(dtype))
    layer.float()(torch.randn(16, 4))
    assert layer.skipped.dtype is layer.num_batches_tracked.dtype is torch.int64
    assert layer.momentum == 0.1
    assert layer.running_mean.dtype is torch.float32
