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


class Call(NamedTuple):
    """What the choice depends on.

    Attributes:
        x: the input.
        mask: as in ``batch_norm``, as are ``channel_dim`` and ``groups``.
        channel_dim: counted from the front.
        groups: 1 where the moments are given.
        training: whether the moments are the batch's own (``batch_norm``) or given (``normalize``).
        plain: whether all the tensors of the call are; see ``is_plain``.
    """

    x: Tensor
    mask: Tensor | None
    channel_dim: int
    groups: int
    training: bool
    plain: bool


def choose(call: Call, impl: str) -> str:
    """The implementation for a call, ``impl`` itself where it is not ``"auto"``.

    What is traced may have another size when it runs, so that its size decides nothing.

    Raises:
        InvalidArgumentError: there is no such implementation, or it cannot run here.
    """
    if impl == "auto":
        if call.plain and call.x.numel() <= SMALL and _by_torch(call) is None:
            return "torch"
        if _by_cpu(call) is None:
            return "cpu"
        return "torch" if _by_torch(call) is None else "reference"
    found = _obstacles(call)
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
        InvalidArgumentError: ``impl`` does not exist or cannot run.
    """
    channel_dim %= x.ndim
    call = Call(x, mask, channel_dim, groups, training, is_plain(x, mask))
    chosen = choose(call, impl)
    found = _obstacles(call)
    reasons = {name: obstacle or _disadvantage(name, x) for name, obstacle in found.items()}
    why = "it was asked for" if impl != "auto" else _advantage(chosen, x, reasons)
    return Explanation(chosen, why, {name: reason for name, reason in reasons.items() if name != chosen})


def _obstacles(call: Call) -> dict[str, str | None]:
    return {"cpu": _by_cpu(call), "torch": _by_torch(call), "reference": None}


def _by_cpu(call: Call) -> str | None:
    if not call.plain and not call.training:
        return "with given moments it is no operator that torch can trace, nor one that subclasses see"
    return cpu.obstacle(call.x)


def _by_torch(call: Call) -> str | None:
    return kernel.obstacle(call.x, call.mask, call.channel_dim, call.groups, call.training)


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


_PLAIN = frozenset({Tensor, nn.Parameter, type(None)})


def is_plain(*tensors: Tensor | None) -> bool:
    """Whether tensors have memory of their own that nobody watches: no subclass, no tracing, no dispatch mode."""
    return (
        not torch.compiler.is_compiling()
        and not torch._C._len_torch_dispatch_stack()
        and torch._C._get_tracing_state() is None
        and _PLAIN.issuperset(map(type, tensors))
    )
