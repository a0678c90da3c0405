"""Which implementation computes the transform of a tensor, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from normwise.errors import InvalidArgumentError, choice
from normwise.ops.batch_norm import cpu
from normwise.ops.batch_norm import torch as kernel

IMPLS = ("auto", "cpu", "reference", "torch")

SMALL = 1 << 16
"""Elements up to which PyTorch's kernel is quicker than ours: calling ours costs more than it saves. Measured forward
and backward with an activation on one thread: at 65,536 values of (N, C) torch took 0.75 times as long as ours."""


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


def choose(x: Tensor, mask: Tensor | None, channel_dim: int, groups: int, impl: str) -> str:
    """The implementation for a tensor, ``impl`` itself where it is not ``"auto"``.

    Raises:
        InvalidArgumentError: there is no such implementation, or it cannot run here.
    """
    if impl == "auto":
        by_torch = kernel.obstacle(x, mask, channel_dim, groups) is None
        if (not by_torch or x.numel() > SMALL) and cpu.obstacle(x) is None:
            return "cpu"
        return "torch" if by_torch else "reference"
    found = _obstacles(x, mask, channel_dim, groups)
    if impl not in found:
        raise InvalidArgumentError(choice(impl, IMPLS, "impl"))
    if found[impl]:
        able = [name for name, obstacle in found.items() if not obstacle]
        options = " or ".join(f"impl='{name}'" for name in [*able, "auto"])
        raise InvalidArgumentError(f"impl={impl!r} cannot run here: {found[impl]}; use {options}")
    return impl


def explain(
    x: Tensor, *, mask: Tensor | None = None, channel_dim: int = 1, groups: int = 1, impl: str = "auto"
) -> Explanation:
    """Say which implementation ``normwise.ops.batch_norm`` and the layers take for this input, and why.

    Args:
        x: the input; only its type, shape, strides and device matter.
        mask: as in ``batch_norm``.
        channel_dim: as in ``batch_norm``.
        groups: as in ``batch_norm``.
        impl: as in ``batch_norm``.

    Raises:
        InvalidArgumentError: ``impl`` does not exist or cannot run.
    """
    channel_dim %= x.ndim
    chosen = choose(x, mask, channel_dim, groups, impl)
    found = _obstacles(x, mask, channel_dim, groups)
    reasons = {name: obstacle or _disadvantage(name, x) for name, obstacle in found.items()}
    why = "it was asked for" if impl != "auto" else _advantage(chosen, x, reasons)
    return Explanation(chosen, why, {name: reason for name, reason in reasons.items() if name != chosen})


def _obstacles(x: Tensor, mask: Tensor | None, channel_dim: int, groups: int) -> dict[str, str | None]:
    return {
        "cpu": cpu.obstacle(x),
        "torch": kernel.obstacle(x, mask, channel_dim, groups),
        "reference": None,
    }


def _advantage(chosen: str, x: Tensor, reasons: Mapping[str, str]) -> str:
    size = f"{x.numel():,} elements of {x.dtype}"
    if chosen == "cpu":
        return f"{size}: fused kernels on {torch.get_num_threads()} threads read them as few times as possible"
    if chosen == "torch":
        return f"{size}: PyTorch's kernel is the quickest of those that can run"
    return f"no other can run: {reasons['cpu']}"


def _disadvantage(name: str, x: Tensor) -> str:
    if name == "cpu":
        return f"up to {SMALL:,} elements, calling it costs more than it saves"
    if name == "torch":
        return "it reads and writes the tensor more often, and adds up float32 serially in channels_last"
    return "it is the slowest: plain torch, one pass per operation"


def is_plain(x: Tensor) -> bool:
    """Whether a tensor has memory of its own that nobody watches: no subclass, no tracing, no dispatch mode."""
    return type(x) in (Tensor, nn.Parameter) and not torch._C._len_torch_dispatch_stack()
