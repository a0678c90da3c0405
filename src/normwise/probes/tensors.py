"""Many small tensors at once: norms, differences, and one transfer of all numbers to the host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from normwise.ops.tracing import is_transformed

Numbers = NDArray[np.float64]

HALF = (torch.float16, torch.bfloat16)

REALS = frozenset({*HALF, torch.float32, torch.float64})


def is_measurable(value: Any) -> TypeGuard[Tensor]:
    """Whether it is a tensor whose numbers can be measured: real ones, strided.

    Others are integers, complex, sparse, nested, of a subclass that may do something else, or within a transform of
    ``torch.func``, which they must not leave.
    """
    return (
        (type(value) is Tensor or type(value) is nn.Parameter)
        and value.dtype in REALS
        and value.layout is torch.strided
        and not value.is_nested
        and not is_transformed()
    )


def own_parameter(module: nn.Module, name: str) -> nn.Parameter | None:
    """A module's parameter; None where it has none, no batch has given it a shape, or it is computed from others.

    To look at one that is computed may draw random numbers or move what a parametrization remembers.
    """
    found = module._parameters.get(name)
    return found if type(found) is nn.Parameter else None


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
