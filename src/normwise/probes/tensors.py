"""Many small tensors at once: norms, differences, and one transfer of all numbers to the host."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Numbers = NDArray[np.float64]

HALF = (torch.float16, torch.bfloat16)


def norms(tensors: Sequence[Tensor]) -> list[Tensor]:
    """‖t‖₂ of each tensor, without autograd; of half precision in float32."""
    if any(tensor.dtype in HALF for tensor in tensors):
        tensors = [promoted(tensor) for tensor in tensors]
    return list(torch._foreach_norm(list(tensors))) if tensors else []


def negated(tensors: Sequence[Tensor]) -> list[Tensor]:
    """−t of each tensor, in memory of its own."""
    return list(torch._foreach_neg(list(tensors))) if tensors else []


def add_(tensors: list[Tensor], others: Sequence[Tensor]) -> None:
    """Add the others in place."""
    if tensors:
        torch._foreach_add_(tensors, list(others))


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """The elements of tensors of one type, one behind the other, in memory of their own."""
    return torch._C._nn.flatten_dense_tensors(list(tensors))


def promoted(tensor: Tensor) -> Tensor:
    """The tensor itself, or in float32 where it is of half precision."""
    return tensor.float() if tensor.dtype in HALF else tensor


class Taken:
    """The numbers of a vector, brought to the host and taken in order."""

    def __init__(self, vector: Tensor) -> None:
        self._numbers: Numbers = vector.cpu().numpy().astype(np.float64)
        self._place = 0

    def next(self, count: int) -> Numbers:
        """The next so many."""
        self._place += count
        return self._numbers[self._place - count : self._place]


def joined(vectors: list[Tensor]) -> Tensor:
    """Vectors, one behind the other: one transfer to the host where they are on one device."""
    try:
        return torch.cat(vectors)
    except RuntimeError:  # on several devices
        return torch.cat([vector.cpu() for vector in vectors])
