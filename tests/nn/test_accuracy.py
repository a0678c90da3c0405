"""Layers as users call them are as exact for small inputs as for large ones, however these lie, on one thread or two.

Rounding x to float32 alone moves a normalized value by up to 2⁻²⁴·max|x|/σ, so errors are measured in units of
2⁻²³·max|x|/σ times the largest answer of the channel (of a sum, the root of its terms' squares), and may be up to
``LIMIT``: about as many roundings follow one another (tests/ops/batch_norm/test_accuracy.py has the count).
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import normwise as nw
import oracle
from tensors import same_bits

LIMIT = 16
UNIT = 2.0**-23

# (N, H, W, C), on both sides of every size at which something changes: a second thread from 32,768 values, planes of
# up to 64 positions that are read as rows, channels that are split in parts, tensors that do not fit in a cache.
SHAPES = [
    (60, 1, 1, 6),
    (7, 8, 8, 5),
    (7, 40, 39, 3),
    (7, 40, 40, 3),
    (9, 96, 96, 3),
    (10, 96, 96, 3),
    (32, 25, 20, 16),
    (2048, 1, 1, 131),
]
VALUES = {
    "a large mean": lambda rng, shape: rng.normal(20, 1, shape),
    "a mean far above the deviation": lambda rng, shape: rng.normal(1e4, 1, shape),
    "a narrow range": lambda rng, shape: 100 + rng.random(shape),
}

# name: (from (N, H, W, C) to the layout, and the layer)
LAYOUTS = {
    "(N, C)": (lambda t: t.flatten(0, 2), lambda c: nw.BatchNorm1d(c)),
    "contiguous": (lambda t: t.permute(0, 3, 1, 2).contiguous(), lambda c: nw.BatchNorm2d(c)),
    "channels_last": (lambda t: t.permute(0, 3, 1, 2), lambda c: nw.BatchNorm2d(c)),
    "channel_dim=-1": (lambda t: t.flatten(1, 2), lambda c: nw.BatchNorm1d(c, channel_dim=-1)),
}


@pytest.fixture
def threads():
    """Sets the number of threads; the old number is back afterwards."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def step(values, upstream, layout):
    """What a layer with random γ and β makes of values (N, H, W, C), as (values, C) and (C,)."""
    place, make = LAYOUTS[layout]
    layer = make(values.shape[-1])
    generator = torch.Generator().manual_seed(1)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, 1, 0.5, generator=generator)
    x = place(values).detach().requires_grad_()
    y = layer(x)
    found = dict(zip(("d_x", "d_weight", "d_bias"), _gradients(y, x, layer, place(upstream)), strict=True)) | {"y": y}
    dim = layer.channel_dim
    by_row = {n: t.detach().movedim(dim, -1).flatten(0, -2) if t.ndim > 1 else t for n, t in found.items()}
    return by_row | {"running_mean": layer.running_mean, "running_var": layer.running_var}, layer


def _gradients(y, x, layer, upstream):
    return torch.autograd.grad(y, [x, layer.weight, layer.bias], upstream)


def answers(values, upstream, layer):
    """What is exact, in float64, and by which size the error of each is measured."""
    x, g = (t.double().flatten(0, 2).numpy() for t in (values, upstream))
    weight, bias = (t.detach().double().numpy() for t in (layer.weight, layer.bias))
    f, d = oracle.forward(x, weight, bias, layer.eps), oracle.backward(g, x, weight, bias, layer.eps)
    found = {"y": f.y, "d_x": d.x, "d_weight": d.weight, "d_bias": d.bias}
    found["running_mean"], found["running_var"] = 0.1 * f.mean, 0.9 + 0.1 * f.var * len(x) / (len(x) - 1)
    size = {name: np.abs(value).max(axis=0) for name, value in found.items() if value.ndim == 2}
    normalized = (x - f.mean) / np.sqrt(f.var + layer.eps)
    size |= {"d_bias": np.sqrt((g**2).sum(0)), "d_weight": np.sqrt(((g * normalized) ** 2).sum(0))}
    size |= {"running_mean": 0.1 * np.sqrt(f.var), "running_var": found["running_var"]}
    flatness = np.abs(x).max(axis=0) / np.sqrt(f.var + layer.eps)
    return found, {name: UNIT * flatness * value for name, value in size.items()}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", VALUES)
def test_every_size_is_as_exact(threads, name, layout):
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        values = torch.from_numpy(VALUES[name](rng, shape)).float()
        upstream = torch.from_numpy(rng.normal(size=shape)).float()
        threads(1)
        got, layer = step(values, upstream, layout)
        truth, unit = answers(values, upstream, layer)
        ratios = {n: float((np.abs(got[n].detach().double().numpy() - truth[n]) / unit[n]).max()) for n in truth}
        assert max(ratios.values()) <= LIMIT, (shape, ratios)
        threads(2)
        same_bits(step(values, upstream, layout)[0], got)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("constant", [12345.678, 117.3, -3.7e5])
def test_a_constant_channel_gives_its_shift_and_no_variance(constant, layout):
    for shape in SHAPES:
        values, upstream = torch.randn(shape), torch.randn(shape)
        values[..., 1] = constant
        got, layer = step(values, upstream, layout)
        # Exact: a mean of equal numbers is that number, so that x − μ is zero.
        assert (got["y"][:, 1] == layer.bias[1]).all(), shape
        assert got["running_var"][1] == torch.tensor(0.9), shape
        assert got["d_weight"][1] == 0
        assert got["running_mean"][1] == torch.tensor(0.1 * float(values[0, 0, 0, 1])), shape
        d_x, sigma = got["d_x"][:, 1].double(), layer.eps**0.5
        g = upstream[..., 1].flatten().double()
        want = layer.weight[1].double() / sigma * (g - g.mean())
        # A dozen roundings of numbers of the size of the largest answer.
        assert (d_x - want).abs().max() <= LIMIT * UNIT * want.abs().max(), shape


@pytest.mark.parametrize("layout", LAYOUTS)
def test_evaluation_keeps_the_digits_of_a_large_mean(layout):
    place, make = LAYOUTS[layout]
    for shape in SHAPES:
        layer = make(shape[-1]).eval()
        layer.running_mean.fill_(12345.678)
        layer.running_var.fill_(1e-3)
        values = layer.running_mean[0] + 0.01 * torch.randn(shape)
        want = (values.double() - layer.running_mean[0].double()) / (layer.running_var[0].double() + layer.eps) ** 0.5
        got = layer(place(values))
        # x − μ is exact (Sterbenz), so that three roundings remain; x·scale + shift would lose four digits.
        torch.testing.assert_close(got.double(), place(want), rtol=3 * UNIT, atol=1e-12)
