"""The share of units that a gradient hardly passes."""

from __future__ import annotations

import math

from torch import Tensor, nn

from normwise.ops.activations import activation_of

THRESHOLD = 0.05  # of the steepest slope
POSITIONS = 64  # of a feature map, about: so many of each example tell its mean slope


def saturated(nonlinearity: nn.Module, u: Tensor) -> float | None:
    """The share of units that let hardly any gradient through: E[|f'(u)|] < 0.05 · sup |f'|.

    E is the mean over the examples and positions of u; of a large feature map over equally spaced positions. For a
    sigmoid or tanh these are the saturated units, for a ReLU the dead ones, active on fewer than 5 % of the examples.

    Args:
        nonlinearity: the module that computes f.
        u: its input, (N, units) or (N, channels, *spatial): one feature, or one feature map, is a unit.

    Returns:
        Between 0 and 1; None where f' is not in the table of ``normwise.ops.activations``; NaN where a unit's slope is
        NaN.
    """
    activation = activation_of(nonlinearity)
    if activation is None:
        return None
    u = _spaced(u.detach())
    others = [dim for dim in range(u.ndim) if dim != 1]
    slope = activation.derivative(u).abs().float().mean(others)
    if slope.isnan().any():
        return math.nan
    return (slope < THRESHOLD * activation.max_slope).float().mean().item()


def _spaced(u: Tensor) -> Tensor:
    """Every k-th position of a feature map, k having no divisor in common with the map's size."""
    if u.ndim < 3:
        return u
    flat = u.flatten(2)
    every = -(-flat.shape[2] // POSITIONS)
    while math.gcd(every, flat.shape[2]) > 1:
        every += 1
    return flat[:, :, ::every]
