"""The histogram of a nonlinearity's output."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from torch import Tensor, nn

from normwise.probes.values import sorted_values

BINS = 30

_RANGES: dict[type[nn.Module], tuple[float, float]] = {nn.Sigmoid: (0.0, 1.0), nn.Tanh: (-1.0, 1.0)}


def histogram(nonlinearity: nn.Module, output: Tensor) -> dict[str, Any]:
    """How many of a nonlinearity's outputs, over all examples, units and positions, fall in each of 30 equal bins.

    The bins run from 0 to 1 for a sigmoid, from −1 to 1 for tanh, else from the least to the greatest output (half a
    unit to either side where these are equal). Each holds its lower edge; the last holds its upper edge too, as in
    ``numpy.histogram``.

    Args:
        nonlinearity: the module that computed the output.
        output: what it computed, of any shape.

    Returns:
        ``low`` and ``high``, the outer edges, and ``counts``, 30 integers. Where the output is empty or has an element
        that is not finite, the counts are zero and edges that come from the data are NaN.
    """
    values = sorted_values(output)
    low, high = _RANGES.get(type(nonlinearity)) or _extent(values)
    if values is None:
        return {"low": low, "high": high, "counts": [0] * BINS}
    edges = np.linspace(low, high, BINS + 1)
    below = np.searchsorted(values, edges[1:-1], side="left")
    counts = np.diff(below, prepend=0, append=len(values))
    return {"low": low, "high": high, "counts": counts.tolist()}


def _extent(values: np.ndarray[Any, np.dtype[np.float64]] | None) -> tuple[float, float]:
    if values is None:
        return math.nan, math.nan
    low, high = float(values[0]), float(values[-1])
    return (low, high) if low < high else (low - 0.5, high + 0.5)
