"""From a tensor to the sorted numbers that percentiles and histograms are read from."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MOST = 1 << 17
"""Elements of a tensor that are sorted; of more, equally spaced ones are taken."""


def sorted_values(tensor: Tensor) -> NDArray[np.float64] | None:
    """The elements of a tensor in rising order, or None where it is empty or not all of them are finite.

    Of more than ``MOST`` elements every k-th is taken, for the least k that leaves at most that many and has no divisor
    in common with the number of elements, so that it meets every channel and every position alike.
    """
    values = np.sort(_some(tensor.detach()).cpu().numpy(), axis=None)  # as float32: vectorized, unlike np.percentile
    if not len(values) or not np.isfinite(values[[0, -1]]).all():  # NaN sorts last
        return None
    return values.astype(np.float64)


def percentile(values: NDArray[np.float64], percent: float) -> float:
    """The ``percent``-th percentile of sorted numbers, with linear interpolation between neighbors."""
    position = (len(values) - 1) * percent / 100
    low = int(position)
    high = min(low + 1, len(values) - 1)
    return float(values[low] + (position - low) * (values[high] - values[low]))


def _some(tensor: Tensor) -> Tensor:
    count = tensor.numel()
    if count > MOST:
        every = -(-count // MOST)
        while math.gcd(every, count) > 1:
            every += 1
        tensor = _in_memory_order(tensor)[::every]
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _in_memory_order(tensor: Tensor) -> Tensor:
    """The elements in one row, without a copy where the tensor is dense."""
    order = sorted(range(tensor.ndim), key=tensor.stride, reverse=True)
    return tensor.permute(order).reshape(-1)
