"""Which implementation computes the transform of a tensor, and why."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from normwise.errors import InvalidArgumentError, choice
from normwise.ops.batch_norm import cpu, triton
from normwise.ops.batch_norm.arguments import channel_axis
from normwise.ops.batch_norm.implementations import IMPLEMENTATIONS, KERNELS
from normwise.ops.batch_norm.transform import Transform
from normwise.ops.tracing import is_eager, is_exported

IMPLS = ("auto", *sorted(IMPLEMENTATIONS))

TRITON = "NORMWISE_TRITON"
"""The environment variable that, set to 1, lets ``"auto"`` take the Triton kernels. They have not been timed yet."""

_UNTRACED = "with given moments it is no operator that torch can trace, nor one that subclasses see"


_WHY_NOT = {
    "cpu": "PyTorch's operators run where the program is exported to",
    "triton": f'it has not been timed yet; {TRITON}=1 lets "auto" take it',
    "torch": "it reads and writes the tensor more often, loses digits of a large mean, and adds up float32 serially "
    "where channels lie side by side",
    "reference": "it is the slowest: plain torch, one pass per operation",
}
"""What speaks against an implementation that could run."""


class Explanation(NamedTuple):
    """Which implementation runs, and what speaks for it and against the others.

    Attributes:
        impl: its name.
        why: one sentence.
        others: for each other implementation, why it does not run.
    """

    impl: str
    why: str
    others: Mapping[str, str]

    def __str__(self) -> str:
        return "\n".join([f"{self.impl}: {self.why}", *(f"not {name}: {why}" for name, why in self.others.items())])


def choose(x: Tensor, transform: Transform, training: bool, eager: bool, impl: str = "auto") -> str:
    """The implementation for a tensor, ``impl`` itself where it is not ``"auto"``.

    ``training`` where the moments are the batch's own, and ``eager`` where all tensors of the call are (``is_eager``).
    No size decides: what is traced may have another when it runs, and PyTorch's kernel, which is quicker for up to some
    ten thousand elements, is inexact where channels lie side by side. What is exported should run where there is no
    normwise, and changes nothing in place, which exporters take for evaluation.

    Raises:
        InvalidArgumentError: there is no such implementation, or it cannot run here.
    """
    if impl == "auto":
        by_torch = IMPLEMENTATIONS["torch"].obstacle(x, transform, training) is None
        if is_exported():
            return "reference" if training or not by_torch else "torch"
        ours = own(x, transform) if eager or training else None
        return ours or ("torch" if by_torch else "reference")
    found = _obstacles(x, transform, training, eager)
    if impl not in found:
        raise InvalidArgumentError(choice(impl, IMPLS, "impl"))
    if found[impl]:
        able = [name for name, obstacle in found.items() if not obstacle]
        options = " or ".join(f"impl='{name}'" for name in [*able, "auto"])
        raise InvalidArgumentError(f"impl={impl!r} cannot run here: {found[impl]}; use {options}")
    return impl


def explain(
    x: Tensor,
    *,
    mask: Tensor | None = None,
    channel_dim: int = 1,
    groups: int = 1,
    training: bool = True,
    impl: str = "auto",
) -> Explanation:
    """Say which implementation ``normwise.ops.batch_norm`` and the layers take for this input, and why.

    Args:
        x: the input; only its type, shape, strides and device matter.
        mask: as in ``batch_norm``.
        channel_dim: as in ``batch_norm``.
        groups: as in ``batch_norm``.
        training: False for ``normwise.ops.normalize`` and layers in evaluation.
        impl: as in ``batch_norm``.

    Raises:
        ShapeError: ``x`` has fewer than two axes.
        InvalidArgumentError: ``impl`` does not exist or cannot run, or ``x`` has no such axis or is not floating-point.
    """
    transform = Transform(mask=mask, channel_dim=channel_axis(x, channel_dim), groups=groups)
    eager = is_eager(x, mask)
    chosen = choose(x, transform, training, eager, impl)
    found = _obstacles(x, transform, training, eager)
    asked = impl != "auto"
    others = {
        name: obstacle or (f"impl={impl!r} was asked for" if asked else _WHY_NOT[name])
        for name, obstacle in found.items()
        if name != chosen
    }
    why = "it was asked for" if asked else _advantage(chosen, x, found["triton" if x.is_cuda else "cpu"])
    return Explanation(chosen, why, others)


def _obstacles(x: Tensor, transform: Transform, training: bool, eager: bool) -> dict[str, str | None]:
    found = {name: each.obstacle(x, transform, training) for name, each in IMPLEMENTATIONS.items()}
    untraced = None if eager or training else _UNTRACED
    return found | {name: found[name] or untraced for name in KERNELS}


def wants_triton() -> bool:
    """Whether the environment lets ``"auto"`` take the Triton kernels."""
    return os.environ.get(TRITON) == "1"


def own(x: Tensor, transform: Transform) -> str | None:
    """The implementation with kernels of our own that ``"auto"`` may take for an input, or None."""
    if x.is_cuda:
        return "triton" if wants_triton() and triton.obstacle(x, transform) is None else None
    return "cpu" if cpu.obstacle(x, transform) is None else None


def _advantage(chosen: str, x: Tensor, obstacle: str | None) -> str:
    """Why the chosen one runs; ``obstacle`` is that of the kernels for the device."""
    size = f"{x.numel():,} elements of {x.dtype}"
    if chosen == "cpu":
        return f"{size}: fused kernels on {torch.get_num_threads()} threads read them as few times as possible"
    if chosen == "triton":
        return f"{size}: fused kernels read them as few times as possible, and {TRITON}=1 is set"
    if chosen == "torch":
        return f"{size}: PyTorch's kernel is the quickest of those that can run"
    return f"no other can run: {obstacle}"
