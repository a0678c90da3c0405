"""The transform on a GPU in as few passes over memory as it takes: kernels in Triton.

Shapes: x, y and what has their shape (N, …, C, …); statistics (G, C), float32. ``choice.py`` says which algorithm runs.
Without a GPU they run in Triton's interpreter, slowly, where TRITON_INTERPRET=1 was set before Triton was imported.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from torch import Tensor

from normwise.ops.batch_norm import inputs
from normwise.ops.batch_norm.transform import DEFAULT, Gradients, Statistics, Transform

if TYPE_CHECKING:
    from normwise.ops.batch_norm.triton.choice import Choice
    from normwise.ops.batch_norm.triton.launch import Work

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
INSTALLED = importlib.util.find_spec("triton") is not None


def obstacle(x: Tensor, transform: Transform = DEFAULT, training: bool = True) -> str | None:
    """Why the kernels cannot take this input, or None where they can."""
    if not (x.is_cuda or (x.is_cpu and is_interpreted())):
        return f"it needs tensors on a GPU, got one on {x.device}"
    if not INSTALLED:
        return "triton is not installed: pip install triton"
    return inputs.obstacle(x, DTYPES)


def is_interpreted() -> bool:
    """Whether Triton's interpreter runs the kernels, on the CPU; Triton reads the same words."""
    return os.environ.get("TRITON_INTERPRET", "").lower() in ("1", "true", "yes", "on", "y")


def forward(x: Tensor, residual: Tensor | None, transform: Transform) -> tuple[Tensor, Tensor]:
    """The output f(BN(x) + residual) and the batch's statistics, stacked."""
    work = _work(x, residual, transform)
    stats, y = work.values(4), work.new()
    if not x.numel():
        return y, stats.zero_()
    choice = work.choice()
    if choice.algorithm == "resident":
        work.whole("resident_forward", choice, y=y, stats=stats)
        return y, stats
    _moments(work, stats)
    _normalize(work, stats, y)
    return y, stats


def normalize(x: Tensor, residual: Tensor | None, transform: Transform, stats: Statistics | Tensor) -> Tensor:
    """The output f((x − μ)·γ/√(σ² + ε) + β + residual), for given statistics."""
    work = _work(x, residual, transform)
    y = work.new()
    if x.numel():
        _normalize(work, stats, y)
    return y


def moments(x: Tensor, transform: Transform) -> Tensor:
    """The statistics of x alone, stacked."""
    work = _work(x, None, transform)
    stats = work.values(4)
    if not x.numel():
        return stats.zero_()
    _moments(work, stats)
    return stats


def backward(
    grad_y: Tensor, x: Tensor, residual: Tensor | None, transform: Transform, stats: Statistics | Tensor
) -> Gradients:
    """The gradients of all inputs; the statistics pass gradients on where they have a count."""
    work = _work(x, residual, transform, grad_y)
    grad_x, grad_residual = work.new(), None if residual is None else work.new()
    grad_weight, grad_bias = work.values(), work.values()
    found = Gradients(grad_x, grad_weight, grad_bias, grad_residual)
    if not x.numel():
        grad_weight.zero_()
        grad_bias.zero_()
        return found
    choice = work.choice()
    if choice.algorithm == "resident":
        _backward(work, "resident_backward", choice, stats, found)
    else:
        _reduce(work, stats, grad_weight, grad_bias)
        _backward(work, "backward_elementwise", choice, stats, found)
    return found


def backward_reduce(
    grad_y: Tensor, x: Tensor, residual: Tensor | None, transform: Transform, stats: Statistics | Tensor
) -> tuple[Tensor, Tensor]:
    """The gradients of weight and bias."""
    work = _work(x, residual, transform, grad_y)
    grad_weight, grad_bias = work.values(), work.values()
    if not x.numel():
        return grad_weight.zero_(), grad_bias.zero_()
    _reduce(work, stats, grad_weight, grad_bias)
    return grad_weight, grad_bias


def backward_elementwise(
    grad_y: Tensor,
    x: Tensor,
    residual: Tensor | None,
    transform: Transform,
    stats: Statistics,
    sums: tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor | None]:
    """The gradients of x and residual, given those of weight and bias over all the values that ``stats`` counts."""
    work = _work(x, residual, transform, grad_y)
    grad_x, grad_residual = work.new(), None if residual is None else work.new()
    if x.numel():
        by_weight, by_bias = (s.to(torch.float32).contiguous() for s in sums)
        found = Gradients(grad_x, by_weight, by_bias, grad_residual)
        _backward(work, "backward_elementwise", work.split(), stats, found)
    return grad_x, grad_residual


class Updater(NamedTuple):
    """Moves the same running statistics batch after batch."""

    mean: Tensor
    var: Tensor
    batches: Tensor | None
    skipped: Tensor | None

    def fits(self, mean: Tensor, var: Tensor, batches: Tensor | None, skipped: Tensor | None, stats: Tensor) -> bool:
        """Whether these are the very tensors, as they were."""
        given = (mean, var, batches, skipped)
        return all(a is b for a, b in zip(self, given, strict=True)) and _can_update(*given, stats)

    def update(self, stats: Tensor, momentum: float | None) -> None:
        """Move the statistics by a batch, in place; see ``normwise.nn.statistics.update`` for the equations."""
        running = importlib.import_module(f"{__name__}.running")
        mean, var, _, count = stats.unbind()
        running.update(*self, mean, var, count, momentum)


def updater(mean: Tensor, var: Tensor, batches: Tensor | None, skipped: Tensor | None, stats: Tensor) -> Updater | None:
    """What moves these statistics by batches like ``stats``: float32 side by side in memory; else None."""
    given = (mean, var, batches, skipped)
    return Updater(*given) if _can_update(*given, stats) else None


def _can_update(mean: Tensor, var: Tensor, batches: Tensor | None, skipped: Tensor | None, stats: Tensor) -> bool:
    wanted = [(mean, torch.float32), (var, torch.float32)]
    wanted += [(counter, torch.int64) for counter in (batches, skipped) if counter is not None]
    if stats.ndim != 2 or stats.dtype is not torch.float32 or obstacle(stats) is not None:
        return False
    return all(
        tensor.dtype is dtype
        and tensor.device == stats.device
        and tensor.is_contiguous()
        and (tensor is batches or tensor.shape == stats.shape[1:])
        for tensor, dtype in wanted
    )


def _work(x: Tensor, residual: Tensor | None, transform: Transform, grad_y: Tensor | None = None) -> Work:
    """Only here is Triton imported."""
    launch = importlib.import_module(f"{__name__}.launch")
    return cast("Work", launch.Work(x, residual, transform, grad_y))


def _readable(stats: Statistics | Tensor) -> Statistics:
    return Statistics(*stats) if isinstance(stats, Tensor) else inputs.readable(stats, torch.float32)


def _moments(work: Work, stats: Tensor) -> None:
    choice = work.split()
    partial = work.partial(choice, 4)
    work.whole("reduce_moments", choice, partial=partial)
    work.finish("finish_moments", choice, partial=partial, stats=stats)


def _normalize(work: Work, stats: Statistics | Tensor, y: Tensor) -> None:
    mean, var, low, _ = _readable(stats)
    work.whole("normalize", work.split(), y=y, mean=mean, var=var, low=low)


def _reduce(work: Work, stats: Statistics | Tensor, grad_weight: Tensor, grad_bias: Tensor) -> None:
    choice = work.split()
    partial = work.partial(choice, 2)
    mean, var, low, _ = _readable(stats)
    work.whole("reduce_gradients", choice, partial=partial, mean=mean, var=var, low=low)
    work.finish(
        "finish_gradients", choice, partial=partial, var=var, low=low, grad_weight=grad_weight, grad_bias=grad_bias
    )


def _backward(work: Work, kernel: str, choice: Choice, stats: Statistics | Tensor, found: Gradients) -> None:
    mean, var, low, count = _readable(stats)
    outputs = {"grad_" + name: tensor for name, tensor in zip(found._fields, found, strict=True)}
    work.whole(kernel, choice, mean=mean, var=var, low=low, count=count, **outputs)
