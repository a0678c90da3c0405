"""Compiling kernels ahead of time: those for the CPU, and those that some shapes need on a GPU."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import NamedTuple

import torch

from normwise.moments import moments_dtype
from normwise.ops.activations import activation
from normwise.ops.batch_norm import cpu, triton
from normwise.ops.batch_norm.op import normalize, transformed

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


class Layer(NamedTuple):
    """What a layer normalizes on a GPU, and what follows.

    Attributes:
        shape: of the input, channels on axis 1.
        dtype: of the input.
        format: its memory format.
        activation: what follows.
        residual: whether something is added before.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    format: torch.memory_format
    activation: str
    residual: bool

    def __str__(self) -> str:
        size, kind, form = "x".join(map(str, self.shape)), str(self.dtype), str(self.format)
        what = f"{self.activation}{' with residual' if self.residual else ''}"
        return f"{size} {form.removeprefix('torch.')}, {what}, {kind.removeprefix('torch.')}"


def layers(
    shapes: Iterable[tuple[int, ...]],
    activations: Iterable[str] = COMMON,
    dtypes: Iterable[torch.dtype] = (torch.float32,),
) -> list[Layer]:
    """Layers with inputs of these shapes in every memory format, with and without a residual, but none with masks.

    Args:
        shapes: of inputs, channels on axis 1.
        activations: as in ``kernels``.
        dtypes: of the inputs.

    Raises:
        InvalidArgumentError: there is no such activation.
    """
    names = sorted({activation(spec).name for spec in activations})
    return [
        Layer(shape, dtype, form, name, residual)
        for shape, dtype in product(dict.fromkeys(shapes), dict.fromkeys(dtypes))
        for form in (torch.contiguous_format, *_LAST.get(len(shape), ()))
        for name, residual in product(names, (False, True))
    ]


_LAST = {4: (torch.channels_last,), 5: (torch.channels_last_3d,)}


def launch(asked: Iterable[Layer], device: str = "cuda") -> Iterator[Layer]:
    """Run a training step and an evaluation of each on zeros, so that Triton compiles their kernels and keeps them.

    Yields each layer when it has run. Without this they are compiled at the first step, which takes seconds. Triton
    keeps them in ``$TRITON_CACHE_DIR``, by default ``~/.triton/cache``.
    """
    for layer in asked:
        x, residual = (torch.zeros(layer.shape, dtype=layer.dtype, device=device) for _ in range(2))
        x, residual = (t.to(memory_format=layer.format) for t in (x, residual))
        added = residual if layer.residual else None
        zeros, ones, also_zeros = torch.zeros(3, layer.shape[1], device=device)
        ones += 1
        y, stats, _ = transformed(
            x.requires_grad_(), ones, zeros, added, None, 1e-5, layer.activation, channel_dim=1, impl="triton"
        )
        torch.autograd.grad(y, x, residual)
        normalize(
            x.detach(), zeros, ones, ones, zeros, eps=1e-5, residual=added, activation=layer.activation, impl="triton"
        )
        counters = torch.zeros(1 + layer.shape[1], dtype=torch.int64, device=device)
        triton.Updater(also_zeros, ones.clone(), counters[0], counters[1:]).update(stats, 0.1)
        yield layer
