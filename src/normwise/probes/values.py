"""From a tensor to the sorted numbers that percentiles and histograms are read from."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def sorted_values(tensor: Tensor) -> NDArray[np.float64] | None:
    """All elements of a tensor in rising order, or None where it is empty or not all of them are finite."""
    if tensor.dtype in (torch.float16, torch.bfloat16):
        tensor = tensor.float()
    values = np.sort(tensor.detach().cpu().numpy(), axis=None)  # sorted as float32: vectorised, unlike np.percentile
    if not len(values) or not np.isfinite(values[[0, -1]]).all():  # NaN sorts last
        return None
    return values.astype(np.float64)


def percentile(values: NDArray[np.float64], percent: float) -> float:
    """The ``percent``-th percentile of sorted numbers, with linear interpolation between neighbours."""
    position = (len(values) - 1) * percent / 100
    low = int(position)
    high = min(low + 1, len(values) - 1)
    return float(values[low] + (position - low) * (values[high] - values[low]))
