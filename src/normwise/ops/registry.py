"""Which implementation computes the transform of a tensor, and why."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from normwise.errors import InvalidArgumentError, ShapeError, TensorError, choice
from normwise.ops.batch_norm import cpu, triton
from normwise.ops.batch_norm import torch as kernel
from normwise.ops.batch_norm.layout import has_rows

IMPLS = ("auto", "cpu", "reference", "torch", "triton")

TRITON = "NORMWISE_TRITON"
"""The environment variable that, set to 1, lets ``"auto"`` take the Triton kernels. They have not been timed yet."""

SMALL, SMALL_ROWS = 1 << 16, 1 << 18
"""Elements up to which PyTorch's kernel is quicker than ours, as calling ours costs more than it saves: in general, and
where channels lie side by side, as in (N, C) and channels_last. From the rows of benchmarks/results/cpu.csv with
``impl`` cpu: BN + ReLU, forward and backward, one and two threads."""


_UNTRACED = "with given moments it is no operator that torch can trace, nor one that subclasses see"


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


def choose(
    x: Tensor,
    mask: Tensor | None,
    channel_dim: int,
    groups: int,
    impl: str,
    training: bool = True,
    plain: bool = True,
) -> str:
    """The implementation for a tensor, ``impl`` itself where it is not ``"auto"``.

    ``training`` where the moments are the batch's own, and ``plain`` where all tensors of the call are (``is_plain``).
    What is traced may have another size when it runs, so that its size decides nothing. What is exported should run
    where there is no normwise, and changes nothing in place, which exporters take for evaluation.

    Raises:
        InvalidArgumentError: there is no such implementation, or it cannot run here.
    """
    if impl == "auto":
        by_torch = kernel.obstacle(x, mask, channel_dim, groups, training) is None
        if is_exported():
            return "reference" if training or not by_torch else "torch"
        kernels = None if by_torch and plain and _is_small(x, channel_dim) else own(x)
        if kernels is not None and (plain or training):
            return kernels
        return "torch" if by_torch else "reference"
    found = _obstacles(x, mask, channel_dim, groups, training, plain)
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
    channel_dim = channel_axis(x, channel_dim)
    plain = is_plain(x, mask)
    chosen = choose(x, mask, channel_dim, groups, impl, training, plain)
    found = _obstacles(x, mask, channel_dim, groups, training, plain)
    reasons = {name: obstacle or _disadvantage(name) for name, obstacle in found.items()}
    why = "it was asked for" if impl != "auto" else _advantage(chosen, x, reasons)
    return Explanation(chosen, why, {name: reason for name, reason in reasons.items() if name != chosen})


def channel_axis(x: Tensor, channel_dim: int) -> int:
    """The axis of the channels, counted from the front, of what can be normalized.

    Raises:
        ShapeError: ``x`` has fewer than two axes.
        InvalidArgumentError: it has no such axis, or is not floating-point.
    """
    if x.ndim < 2:
        raise ShapeError(
            f"x must have at least two axes, (N, C, ...), got shape {tuple(x.shape)}; add the missing axis"
        )
    if not x.is_floating_point():
        raise TensorError(f"x must be of a floating-point type, got {x.dtype}; convert it, for example x.float()")
    if not -x.ndim <= channel_dim < x.ndim:
        raise InvalidArgumentError(
            f"channel_dim must be an axis of x, from {-x.ndim} to {x.ndim - 1}, got {channel_dim}"
        )
    return channel_dim % x.ndim


def _obstacles(
    x: Tensor, mask: Tensor | None, channel_dim: int, groups: int, training: bool, plain: bool
) -> dict[str, str | None]:
    by_torch = kernel.obstacle(x, mask, channel_dim, groups, training)
    traced = None if plain or training else _UNTRACED
    return {
        "cpu": cpu.obstacle(x) or traced,
        "triton": triton.obstacle(x) or traced,
        "torch": by_torch,
        "reference": None,
    }


def is_exported() -> bool:
    """Whether this call becomes part of an exported program."""
    return torch.compiler.is_exporting() or is_jit_traced()


def _is_small(x: Tensor, channel_dim: int) -> bool:
    """Whether calling the kernels costs more than they save."""
    size = x.numel()
    if not x.is_cpu:
        return False
    return size <= SMALL or (size <= SMALL_ROWS and cpu.obstacle(x) is None and has_rows(x, channel_dim))


def wants_triton() -> bool:
    """Whether the environment lets ``"auto"`` take the Triton kernels."""
    return os.environ.get(TRITON) == "1"


def own(x: Tensor) -> str | None:
    """The implementation with kernels of our own that ``"auto"`` may take for an input, or None."""
    if x.is_cuda:
        return "triton" if wants_triton() and triton.obstacle(x) is None else None
    return "cpu" if cpu.obstacle(x) is None else None


def _advantage(chosen: str, x: Tensor, reasons: Mapping[str, str]) -> str:
    size = f"{x.numel():,} elements of {x.dtype}"
    if chosen == "cpu":
        return f"{size}: fused kernels on {torch.get_num_threads()} threads read them as few times as possible"
    if chosen == "triton":
        return f"{size}: fused kernels read them as few times as possible, and {TRITON}=1 is set"
    if chosen == "torch":
        return f"{size}: PyTorch's kernel is the quickest of those that can run"
    return f"no other can run: {reasons['triton' if x.is_cuda else 'cpu']}"


def _disadvantage(name: str) -> str:
    if name == "cpu":
        return f"up to {SMALL:,} elements, or {SMALL_ROWS:,} where channels lie side by side, calling it costs more"
    if name == "triton":
        return f'it has not been timed yet; {TRITON}=1 lets "auto" take it'
    if name == "torch":
        return "it reads and writes the tensor more often, and adds up float32 serially in channels_last"
    return "it is the slowest: plain torch, one pass per operation"


def is_jit_traced() -> bool:
    """Whether ``torch.jit`` traces: sizes are tensors then, and are not to be looked at."""
    return torch._C._get_tracing_state() is not None


_PLAIN = frozenset({Tensor, nn.Parameter, type(None)})


def is_plain(*tensors: Tensor | None) -> bool:
    """Whether tensors have memory of their own that nobody watches: no subclass, no tracing, no dispatch mode."""
    return (
        not torch.compiler.is_compiling()
        and not torch._C._len_torch_dispatch_stack()
        and not is_jit_traced()
        and _PLAIN.issuperset(map(type, tensors))
    )
