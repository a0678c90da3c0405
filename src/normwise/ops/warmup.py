"""Compiling the CPU kernels ahead of time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch

from normwise.ops.activations import activation
from normwise.ops.batch_norm import cpu

COMMON = ("identity", "relu", "silu", "gelu")
_FORWARD = ("forward", "normalize")
_BACKWARD = ("backward", "backward_reduce", "backward_elementwise")


class Kernel(NamedTuple):
    """One kernel; see ``normwise.ops.batch_norm.cpu.job.Kind``."""

    form: str
    part: str
    dtype: torch.dtype
    activation: str
    residual: bool

    def __str__(self) -> str:
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
    found = []
    for dtype in dtypes:
        for form in ("planes", "rows"):
            found.append(Kernel(form, "moments", dtype, "identity", False))
            for name in names:
                found += [Kernel(form, part, dtype, name, residual) for part in _FORWARD for residual in (False, True)]
                residuals = (False,) if name == "identity" else (False, True)
                found += [Kernel(form, part, dtype, name, residual) for part in _BACKWARD for residual in residuals]
    return found


def warmup(asked: Iterable[Kernel]) -> Iterator[Kernel]:
    """Compile kernels and keep them on disk; yields each when it is ready.

    Without this each is compiled at its first call, which takes about a second. They are kept in ``$NORMWISE_CACHE``,
    by default ``~/.cache/normwise``.
    """
    for kernel in asked:
        cpu.compile_kernel(kernel.form, kernel.part, kernel.dtype, kernel.activation, kernel.residual, False)
        yield kernel
