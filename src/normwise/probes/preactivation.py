"""The distribution of a nonlinearity's input."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from normwise.probes.values import percentile, sorted_values

PERCENTS = (15, 50, 85)  # those of Figure 1 in Ioffe & Szegedy 2015


def preactivation(u: Tensor) -> dict[str, float]:
    """Mean, standard deviation and the 15th, 50th and 85th percentile of u, over all examples, units and positions.

    The standard deviation is √(mean of (u − mean)²); percentiles are interpolated linearly, as ``numpy.percentile``
    does.

    Args:
        u: the input of a nonlinearity, of any shape.

    Returns:
        ``mean``, ``std``, ``p15``, ``p50`` and ``p85``; each is NaN where u is empty or has an element that is not
        finite.
    """
    values = sorted_values(u)
    if values is None:
        return dict.fromkeys(("mean", "std", *(f"p{percent}" for percent in PERCENTS)), math.nan)
    with np.errstate(over="ignore"):
        moments = {"mean": float(values.mean()), "std": float(values.std())}
    return moments | {f"p{percent}": percentile(values, percent) for percent in PERCENTS}
