"""Any shape, type, layout and options: the layer does what the oracle says, forward, backward and afterwards."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import normwise as nw
import oracle
from normwise.errors import ShapeError

LAYERS = {2: nw.BatchNorm1d, 3: nw.BatchNorm1d, 4: nw.BatchNorm2d, 5: nw.BatchNorm3d}
# (type, activation, residual, mask). A kernel is compiled for each, but for float16; tests/ops has the others.
CALLS = [
    (torch.float64, "silu", True, True),
    (torch.float64, "silu", True, False),
    (torch.float32, "identity", False, False),
    (torch.bfloat16, "identity", False, False),
    *((torch.float16, "silu", residual, mask) for residual in (False, True) for mask in (False, True)),
]
# Large enough that channels are split in parts; the rest of these shapes stay small.
LARGE = {2: (530, 130), 3: (3, 37, 700), 4: (3, 9, 51, 53), 5: (2, 5, 19, 19, 19)}


@st.composite
def problems(draw):
    """A layer's options, and the shape, type and layout of its input."""
    dims = draw(st.sampled_from(sorted(LAYERS)))
    small = st.tuples(st.integers(1, 5), *[st.integers(1, 5)] * (dims - 1))
    dtype, activation, residual, masked = draw(st.sampled_from(CALLS))
    options = {
        "activation": activation,
        "channel_dim": draw(st.sampled_from([1, -1])),
        "momentum": draw(st.sampled_from([None, 0.0, 0.1, 0.75])),
        "eps": draw(st.sampled_from([1e-5, 1e-3, 0.5])),
        "affine": draw(st.booleans()),
        "bias": draw(st.booleans()),
        "track_running_stats": draw(st.booleans()),
    }
    return {
        "shape": draw(small) if draw(st.integers(0, 4)) else LARGE[dims],
        "dtype": dtype,
        "layout": draw(st.sampled_from(["contiguous", "channels_last", "gaps", "expanded"])),
        "options": options,
        "residual": residual,
        "mask": draw(st.sampled_from(["some", "nan", "last"])) if masked else "none",
        "mean": draw(st.sampled_from([0.0, 3.0, -20.0])),
        "seed": draw(st.integers(0, 2**20)),
    }


def laid_out(x, layout):
    """The same values in other memory."""
    if layout == "channels_last":
        return x.movedim(1, -1).contiguous().movedim(-1, 1)
    if layout == "gaps":
        return torch.stack([x, x], -1)[..., 0]
    if layout == "expanded":
        return x[:1].expand_as(x)
    return x.contiguous()


def tensors(problem, generator):
    """x, residual, mask and upstream gradient, with channels on axis 1 and values that the type can hold."""
    shape, dtype = problem["shape"], problem["dtype"]

    def normal(*size):
        return torch.randn(size, generator=generator, dtype=torch.float64)

    x = laid_out((normal(*shape) + problem["mean"]).to(dtype), problem["layout"])
    residual = normal(*shape).to(dtype) if problem["residual"] else None
    sizes = (shape[0], *shape[2:])
    mask = None if problem["mask"] == "none" else torch.rand(sizes, generator=generator) > 0.3
    if problem["mask"] == "last":
        mask[: shape[0] - 1] = False
    if problem["mask"] == "nan":
        x = torch.where(mask.unsqueeze(1), x, torch.nan)
    return x, residual, mask, normal(*shape).to(dtype)


def run(layer, x, residual, mask, upstream):
    """y and the gradients of x, weight, bias and residual, with channels on axis 1."""
    dim = layer.channel_dim
    inputs = [None if t is None else t.movedim(1, dim).detach().requires_grad_() for t in (x, residual)]
    y = layer(*inputs, mask)
    asked = [inputs[0], layer.weight, layer.bias, inputs[1]]
    found = iter(torch.autograd.grad(y, [t for t in asked if t is not None], upstream.movedim(1, dim)))
    grads = [None if t is None else next(found) for t in asked]
    grads[0], grads[3] = (None if t is None else t.movedim(dim, 1) for t in (grads[0], grads[3]))
    return y.movedim(dim, 1), grads


@settings(deadline=None, max_examples=250)
@given(problems())
def test_the_layer_does_what_the_oracle_says(problem):
    generator = torch.Generator().manual_seed(problem["seed"])
    dtype, options = problem["dtype"], problem["options"]
    x, residual, mask, upstream = tensors(problem, generator)
    layer = LAYERS[x.ndim](x.shape[1], dtype=torch.float64 if dtype is torch.float64 else torch.float32, **options)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, generator=generator)
    if x.numel() == x.shape[1]:
        with pytest.raises(ShapeError, match="more than one value per channel"):
            layer(x.movedim(1, layer.channel_dim))
        return
    y, grads = run(layer, x, residual, mask, upstream)

    arrays = [None if t is None else t.detach().double().numpy() for t in (x, residual)]
    given_x = np.nan_to_num(arrays[0])
    weight, bias = (
        fallback if parameter is None else parameter.detach().double().numpy()
        for parameter, fallback in ((layer.weight, np.ones(x.shape[1])), (layer.bias, np.zeros(x.shape[1])))
    )
    flat_mask = None if mask is None else mask.numpy()
    common = (weight, bias, layer.eps, arrays[1], options["activation"], flat_mask)
    want = oracle.forward(given_x, *common)
    back = oracle.backward(upstream.double().numpy(), given_x, *common)

    growth = scale(want, weight, x)
    check("y", y, want.y, dtype, growth)
    growth, sums = growth * (1 + np.abs(weight).max()), np.sqrt(max(want.count.max(), 1.0))
    wanted = {"x": (back.x, 1.0), "weight": (back.weight, sums), "bias": (back.bias, sums), "res": (back.residual, 1.0)}
    for got, (name, (expected, size)) in zip(grads, wanted.items(), strict=True):
        if got is not None:
            check(name, got, expected, dtype, growth, size)
    if want.count.max() > 1 and layer.running_mean is not None:
        share = 1.0 if layer.momentum is None else layer.momentum
        unbiased = want.var * want.count / (want.count - 1)
        size = 1 + float(torch.nan_to_num(x.double()).abs().max())
        check("mean", layer.running_mean, share * want.mean, layer.running_mean.dtype, size)
        check("var", layer.running_var, 1 - share + share * unbiased, layer.running_var.dtype, size)
    if layer.running_mean is not None:
        assert not layer.skipped.any()
        assert layer.num_batches_tracked.item() == (want.count.max() > 1)


def scale(want, weight, x):
    """How much an error of one unit of x grows: 1/σ·γ, and by how much x exceeds its deviation."""
    sigma = np.sqrt(want.var + 1e-5).min() if want.var.size else 1.0
    return (1 + np.abs(weight).max()) * (1 + float(torch.nan_to_num(x.double()).abs().max())) / min(sigma, 1.0)


def check(name, got, expected, dtype, growth, size=1.0):
    """Within what rounding allows, relative to the largest answer, or to ``size``, that of a sum of random signs.

    Everything is computed in float32 at least: 16 units in the last place, the limit of the kernels
    (tests/ops/batch_norm/test_accuracy.py), times what the problem itself makes of them. Then the output, and in
    torch's kernel what is between it and the activation, is rounded to the type: up to 4 times on the way to a
    gradient.
    """
    got, computed = got.detach().double().numpy(), min(torch.finfo(dtype).eps, torch.finfo(torch.float32).eps)
    largest = max(np.abs(expected).max(initial=0.0), size)
    error = np.abs(got - expected).max(initial=0.0) / largest
    assert math.isfinite(error), f"{name} is not finite"
    allowed = 16 * computed * growth + 4 * torch.finfo(dtype).eps
    assert error <= allowed, f"{name}: {error:.3g}, {error / allowed:.3g} times what rounding allows"
