"""The transform on the CPU in as few passes over memory as it takes: numba kernels on torch's own threads.

Shapes: x, y and what has their shape (N, …, C, …); statistics (G, C).
"""

from __future__ import annotations

from torch import Tensor

from normwise.ops.batch_norm import inputs
from normwise.ops.batch_norm.cpu.update import updater
from normwise.ops.batch_norm.cpu.work import DTYPES, compile_kernel, compile_update, work_of
from normwise.ops.batch_norm.transform import DEFAULT, Gradients, Statistics, Transform

__all__ = [
    "DTYPES",
    "backward",
    "backward_elementwise",
    "backward_reduce",
    "compile_kernel",
    "compile_update",
    "forward",
    "moments",
    "normalize",
    "obstacle",
    "updater",
]


def obstacle(x: Tensor, transform: Transform = DEFAULT, training: bool = True) -> str | None:
    """Why the kernels cannot take this input, or None where they can."""
    if x.device.type != "cpu":
        return f"it needs tensors on the CPU, got one on {x.device}"
    return inputs.obstacle(x, DTYPES)


def forward(x: Tensor, residual: Tensor | None, transform: Transform) -> tuple[Tensor, Tensor]:
    """The output f(BN(x) + residual) and the batch's statistics, stacked."""
    work, x, residual, _ = work_of(x, residual, None, transform)
    stats, y = work.values(4), work.new(x)
    if work.blocks == 1:
        work.run("forward", transform, stats, x, y, residual)
    else:
        work.run("moments", transform, stats, x, partial=work.partial())
        work.run("normalize", transform, stats, x, y, residual)
    return y, stats


def normalize(x: Tensor, residual: Tensor | None, transform: Transform, stats: Statistics | Tensor) -> Tensor:
    """The output f((x − μ)·γ/√(σ² + ε) + β + residual), for given statistics."""
    work, x, residual, _ = work_of(x, residual, None, transform)
    y = work.new(x)
    work.run("normalize", transform, stats, x, y, residual)
    return y


def moments(x: Tensor, transform: Transform) -> Tensor:
    """The statistics of x alone, stacked."""
    work, x, _, _ = work_of(x, None, None, transform)
    stats = work.values(4)
    work.run("moments", transform, stats, x, partial=work.partial())
    return stats


def backward(
    grad_y: Tensor, x: Tensor, residual: Tensor | None, transform: Transform, stats: Statistics | Tensor
) -> Gradients:
    """The gradients of all inputs; the statistics pass gradients on where they have a count."""
    work, x, residual, grad_y = work_of(x, residual, grad_y, transform)
    sums = work.values(), work.values()
    grad_x, grad_residual = work.new(x), None if residual is None else work.new(x)
    if work.blocks == 1:
        work.run("backward", transform, stats, x, grad_x, residual, grad_y, grad_residual, sums)
    else:
        work.run("backward_reduce", transform, stats, x, None, residual, grad_y, None, sums, work.partial())
        work.run("backward_elementwise", transform, stats, x, grad_x, residual, grad_y, grad_residual, sums)
    return Gradients(grad_x, *sums, grad_residual)


def backward_reduce(
    grad_y: Tensor, x: Tensor, residual: Tensor | None, transform: Transform, stats: Statistics | Tensor
) -> tuple[Tensor, Tensor]:
    """The gradients of weight and bias."""
    work, x, residual, grad_y = work_of(x, residual, grad_y, transform)
    sums = work.values(), work.values()
    work.run("backward_reduce", transform, stats, x, None, residual, grad_y, None, sums, work.partial())
    return sums


def backward_elementwise(
    grad_y: Tensor,
    x: Tensor,
    residual: Tensor | None,
    transform: Transform,
    stats: Statistics,
    sums: tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor | None]:
    """The gradients of x and residual, given those of weight and bias over all the values that ``stats`` counts."""
    work, x, residual, grad_y = work_of(x, residual, grad_y, transform)
    grad_x, grad_residual = work.new(x), None if residual is None else work.new(x)
    readable = inputs.vector(sums[0], work.accumulator), inputs.vector(sums[1], work.accumulator)
    work.run("backward_elementwise", transform, stats, x, grad_x, residual, grad_y, grad_residual, readable)
    return grad_x, grad_residual
