"""Compiling the CPU kernels ahead of time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch

from normwise.moments import moments_dtype
from normwise.ops.activations import activation
from normwise.ops.batch_norm import cpu

COMMON = ("identity", "relu", "silu", "gelu")
_FORWARD = ("forward", "normalize")
_BACKWARD = ("backward", "backward_reduce", "backward_elementwise")
_UPDATE = "update"


class Kernel(NamedTuple):
    """One kernel; see ``normwise.ops.batch_norm.cpu.job.Kind``.

    The part ``"update"``, which no kind has, moves running statistics; of the rest it has the type alone.
    """

    form: str
    part: str
    dtype: torch.dtype
    activation: str
    residual: bool

    def __str__(self) -> str:
        if self.part == _UPDATE:
            return f"running statistics, {str(self.dtype).removeprefix('torch.')}"
        return f"{self.part}, {self.activation}{' with residual' if self.residual else ''}, {self.form}"


def kernels(activations: Iterable[str] = COMMON, dtypes: Iterable[torch.dtype] = (torch.float32,)) -> list[Kernel]:
    """The kernels that layers with these activations call, with and without a residual, but none for masks.

    Args:
        activations: specifications such as ``"relu"``; ``"identity"`` stands for none.
        dtypes: of the inputs.

    Raises:
        InvalidArgumentError: there is no such activation.
    """
    names = sorted({activation(spec).name for spec in activations})
    dtypes = list(dtypes)
    found = []
    for dtype in dtypes:
        for form in ("planes", "rows"):
            found.append(Kernel(form, "moments", dtype, "identity", False))
            for name in names:
                found += [Kernel(form, part, dtype, name, residual) for part in _FORWARD for residual in (False, True)]
                residuals = (False,) if name == "identity" else (False, True)
                found += [Kernel(form, part, dtype, name, residual) for part in _BACKWARD for residual in residuals]
    statistics = dict.fromkeys(moments_dtype(dtype) for dtype in dtypes)
    return found + [Kernel("", _UPDATE, dtype, "identity", False) for dtype in statistics]


def warmup(asked: Iterable[Kernel]) -> Iterator[Kernel]:
    """Compile kernels and keep them on disk; yields each when it is ready.

    Without this each is compiled at its first call, which takes one to three seconds. They are kept in
    ``$NORMWISE_CACHE``, by default ``~/.cache/normwise``.
    """
    for kernel in asked:
        if kernel.part == _UPDATE:
            cpu.compile_update(kernel.dtype)
        else:
            cpu.compile_kernel(kernel.form, kernel.part, kernel.dtype, kernel.activation, kernel.residual, False)
        yield kernel
