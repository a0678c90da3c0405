from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from normwise.probes import saturated


def sigmoid_slope(u):
    s = 1 / (1 + np.exp(-u))
    return s * (1 - s)


def share(slope, steepest):
    """Per unit (axis 1) the mean over everything else; the share below 5 % of the steepest slope."""
    per_unit = np.moveaxis(slope, 1, 0).reshape(slope.shape[1], -1).mean(axis=1)
    return (per_unit < 0.05 * steepest).mean()


@pytest.mark.parametrize("shape", [(64, 50), (8, 50, 6), (4, 50, 5, 3)])
@pytest.mark.parametrize(
    ("module", "slope", "steepest"),
    [
        (nn.Sigmoid(), sigmoid_slope, 0.25),
        (nn.Tanh(), lambda u: 1 - np.tanh(u) ** 2, 1.0),
        (nn.ReLU(), lambda u: u > 0, 1.0),
    ],
)
def test_agrees_with_the_definition(shape, module, slope, steepest):
    shift = torch.linspace(-12, 12, 50).reshape(1, 50, *[1] * (len(shape) - 2))
    u = torch.randn(shape) + shift
    expected = share(slope(u.double().numpy()), steepest)
    assert 0 < expected < 1
    assert saturated(module, u) == pytest.approx(expected, abs=1e-7)  # a ratio of small whole numbers in float32


def test_a_unit_counts_by_its_mean_over_examples():
    u = torch.full((100, 2), -20.0)
    u[:4, 0] = 1.0  # active on 4 % of the examples
    u[:6, 1] = 1.0  # active on 6 %
    assert saturated(nn.ReLU(), u) == 0.5


def test_leaky_relu_is_dead_only_with_a_small_slope():
    u = torch.full((10, 3), -5.0)
    assert saturated(nn.LeakyReLU(0.01), u) == 1
    assert saturated(nn.LeakyReLU(0.1), u) == 0


@pytest.mark.parametrize("module", [nn.PReLU(), nn.Softplus(), nn.Hardtanh()])
def test_is_none_where_the_derivative_is_unknown(module):
    assert saturated(module, torch.randn(4, 3)) is None


def test_is_nan_where_a_slope_is_nan():
    u = torch.randn(4, 3)
    u[0, 0] = math.nan
    assert math.isnan(saturated(nn.Sigmoid(), u))


def test_an_infinite_input_saturates():
    assert saturated(nn.Tanh(), torch.full((4, 3), math.inf)) == 1


def test_a_steep_fall_is_not_saturated():
    u = torch.full((10, 3), -5.0)
    assert saturated(nn.LeakyReLU(-0.5), u) == 0
