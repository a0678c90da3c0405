"""The transform by kernels of our own as functions that autograd knows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from normwise.ops import tracing
from normwise.ops.activations import Activation
from normwise.ops.batch_norm import reference
from normwise.ops.batch_norm.implementations import Implementation, Kernels
from normwise.ops.batch_norm.inputs import dense
from normwise.ops.batch_norm.transform import Statistics, Transform


class Plan(NamedTuple):
    """How calls are computed that look alike: of the same options, shapes, types and devices.

    Attributes:
        impl: the name of the implementation.
        implementation: it.
        eps: ε.
        activation: what follows, or None.
        channel_dim: the axis of the channels, counted from the front.
        groups: how many groups of examples have moments of their own.
        jobs: what the implementation keeps from call to call; None where nothing is kept.
    """

    impl: str
    implementation: Implementation
    eps: float
    activation: Activation | None
    channel_dim: int
    groups: int
    jobs: dict[Any, Any] | None

    def transform(self, weight: Tensor | None, bias: Tensor | None, mask: Tensor | None) -> Transform:
        """The transform with these tensors."""
        _, _, eps, activation, channel_dim, groups, jobs = self
        return Transform(weight, bias, mask, eps, activation, channel_dim, groups, jobs)


Compute = Callable[[list[Any], Plan], Tensor]
"""The output of a call again, bit for bit, from the tensors that it saved and its plan."""


class _Hook(threading.local):
    """Callback run after each forward of this thread: its context, x, residual and how its output is made again."""

    after_forward: Callable[[Any, Tensor, Tensor | None, Compute], None] | None = None


HOOK = _Hook()


class BatchNormFunction(torch.autograd.Function):
    """Normalize with the batch's moments: y and the statistics, stacked as the kernels give them."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        residual: Tensor | None,
        mask: Tensor | None,
        plan: Plan,
    ) -> tuple[Tensor, Tensor]:
        y, stats = plan.implementation.forward(x, residual, plan.transform(weight, bias, mask))
        ctx.plan, ctx.has_residual = plan, residual is not None
        ctx.save_for_backward(x, weight, bias, _kept(residual, plan), mask, stats)
        ctx.set_materialize_grads(False)
        if HOOK.after_forward is not None:
            HOOK.after_forward(ctx, x, residual, _batch_norm)
        ctx.mark_non_differentiable(stats)
        return y, stats

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor | None, *_: Tensor | None) -> tuple[Tensor | None, ...]:
        if grad_y is None:
            return (None,) * 6
        x, weight, bias, residual, mask, stats = ctx.saved_tensors
        transform = ctx.plan.transform(weight, bias, mask)
        if not _can_take(ctx.plan.implementation, grad_y, transform):

            def again(x: Tensor, residual: Tensor | None, transform: Transform) -> Tensor:
                return reference.forward(x, residual, transform)[0]

            return *_again(ctx, grad_y, transform, again), None
        return *_gradients(ctx, grad_y, x, residual, transform, stats), None


class NormalizeFunction(torch.autograd.Function):
    """Normalize with given moments of shape (channels,), which receive no gradient: y."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        residual: Tensor | None,
        mask: Tensor | None,
        mean: Tensor,
        var: Tensor,
        plan: Plan,
    ) -> Tensor:
        ctx.plan, ctx.has_residual = plan, residual is not None
        ctx.save_for_backward(x, weight, bias, _kept(residual, plan), mask, mean, var)
        if HOOK.after_forward is not None:
            HOOK.after_forward(ctx, x, residual, _normalize)
        return normalized(x, weight, bias, residual, mask, mean, var, plan)

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, residual, mask, mean, var = ctx.saved_tensors
        transform, stats = ctx.plan.transform(weight, bias, mask), Statistics(mean, var)
        if not _can_take(ctx.plan.implementation, grad_y, transform):

            def again(x: Tensor, residual: Tensor | None, transform: Transform) -> Tensor:
                return reference.normalize(x, residual, transform, stats)

            return *_again(ctx, grad_y, transform, again), *(None,) * 3
        return *_gradients(ctx, grad_y, x, residual, transform, stats), *(None,) * 3


# ``Function.apply`` first looks for tensors of ``torch.func``, of which ordinary tensors are none.
batch_norm_of_ordinary = super(torch.autograd.Function, BatchNormFunction).apply
normalize_of_ordinary = super(torch.autograd.Function, NormalizeFunction).apply


def _batch_norm(saved: list[Any], plan: Plan) -> Tensor:
    x, weight, bias, residual, mask, stats = saved
    return plan.implementation.normalize(x, residual, plan.transform(weight, bias, mask), stats)


def _normalize(saved: list[Any], plan: Plan) -> Tensor:
    x, weight, bias, residual, mask, mean, var = saved
    return normalized(x, weight, bias, residual, mask, mean, var, plan)


def normalized(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    residual: Tensor | None,
    mask: Tensor | None,
    mean: Tensor,
    var: Tensor,
    plan: Plan,
) -> Tensor:
    """The output of ``NormalizeFunction``, without autograd."""
    transform = plan.transform(weight, bias, mask)
    return plan.implementation.normalize(x, residual, transform, Statistics(mean, var))


def _gradients(
    ctx: Any, grad_y: Tensor, x: Tensor, residual: Tensor | None, transform: Transform, stats: Statistics | Tensor
) -> tuple[Tensor | None, ...]:
    """The gradients of x, weight, bias, residual that are asked for, and None for the mask."""
    (of_x, of_weight, of_bias, of_residual, *_), kernels = ctx.needs_input_grad, ctx.plan.implementation
    grad_y = dense(grad_y)
    if of_x or residual is not None:
        grad_x, grad_weight, grad_bias, grad_residual = kernels.backward(grad_y, x, residual, transform, stats)
    else:
        grad_x, grad_residual = None, None
        grad_weight, grad_bias = kernels.backward_reduce(grad_y, x, None, transform, stats)
    if of_residual and residual is None:
        grad_residual = grad_y if transform.mask is None else torch.where(transform.mask, grad_y, 0)
    return (
        grad_x if of_x else None,
        _summed(grad_weight, transform.weight) if of_weight else None,
        _summed(grad_bias, transform.bias) if of_bias else None,
        grad_residual,
        None,
    )


def _can_take(kernels: Kernels, grad_y: Tensor, transform: Transform) -> bool:
    """Whether the kernels take this gradient, and what becomes of it need not be differentiable."""
    if torch.is_grad_enabled():
        return False
    return tracing.is_ordinary(grad_y) or (
        tracing.is_eager(grad_y) and kernels.obstacle(grad_y, transform, True) is None
    )


def _again(
    ctx: Any, grad_y: Tensor, transform: Transform, function: Callable[[Tensor, Tensor | None, Transform], Tensor]
) -> tuple[Tensor | None, ...]:
    """The gradients by the reference, differentiable themselves where that is wanted; None for the mask."""
    x, weight, bias, residual = ctx.saved_tensors[:4]
    with torch.enable_grad():
        if ctx.has_residual and residual is None:
            residual = torch.zeros_like(x, requires_grad=True)
        y = function(x, residual, transform)
    inputs = (x, weight, bias, residual)
    wanted = [t for t, needed in zip(inputs, ctx.needs_input_grad[:4], strict=True) if needed]
    graph = torch.is_grad_enabled()
    found = iter(torch.autograd.grad(y, wanted, grad_y, create_graph=graph, materialize_grads=True))
    return *(next(found) if needed else None for needed in ctx.needs_input_grad[:4]), None


def _kept(residual: Tensor | None, plan: Plan) -> Tensor | None:
    """The residual, where the activation's derivative depends on it."""
    return None if plan.activation is None or plan.activation.name == "identity" else residual


def _summed(gradient: Tensor, parameter: Tensor | None) -> Tensor:
    """Over the groups, in the parameter's type."""
    assert parameter is not None
    total = gradient if gradient.ndim == 1 else gradient.sum(0)
    return total if total.dtype is parameter.dtype else total.to(parameter.dtype)
