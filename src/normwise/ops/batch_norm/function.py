"""The transform by kernels of our own as functions that autograd knows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from normwise.moments import moments_dtype
from normwise.ops import registry
from normwise.ops.activations import Activation
from normwise.ops.activations import activation as parse
from normwise.ops.batch_norm import reference
from normwise.ops.batch_norm.kernels import Kernels
from normwise.ops.batch_norm.transform import Statistics, Transform

Compute = Callable[[list[Any], tuple[Any, ...]], Tensor]
"""The output of a call again, bit for bit, from the tensors that it saved and its options."""


class _Listener(threading.local):
    """Who wants to hear of each call in this thread, with its context, x, residual and how its output is made again."""

    hear: Callable[[Any, Tensor, Tensor | None, Compute], None] | None = None


LISTENER = _Listener()


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
        kernels: Kernels,
        eps: float,
        activation: str | None,
        channel_dim: int,
        groups: int,
    ) -> tuple[Tensor, Tensor]:
        transform = prepared(x, weight, bias, mask, eps, activation, channel_dim, groups)
        y, stats = kernels.forward(x, residual, transform)
        ctx.options = (kernels, eps, transform.activation, channel_dim, groups)
        ctx.has_residual = residual is not None
        ctx.save_for_backward(x, weight, bias, _kept(residual, activation), mask, stats)
        ctx.set_materialize_grads(False)
        if LISTENER.hear is not None:
            LISTENER.hear(ctx, x, residual, _batch_norm)
        ctx.mark_non_differentiable(stats)
        return y, stats

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor | None, *_: Tensor | None) -> tuple[Tensor | None, ...]:
        if grad_y is None:
            return (None,) * 10
        x, weight, bias, residual, mask, stats = ctx.saved_tensors
        kernels, eps, function, channel_dim, groups = ctx.options
        if not _can_take(kernels, grad_y):
            options = {"eps": eps, "activation": function, "mask": mask, "channel_dim": channel_dim, "groups": groups}

            def again(x: Tensor, weight: Tensor | None, bias: Tensor | None, residual: Tensor | None) -> Tensor:
                return reference.batch_norm(x, weight, bias, residual=residual, **options).y

            return *_again(ctx, grad_y, again), *(None,) * 6
        transform = prepared(x, weight, bias, mask, eps, function, channel_dim, groups)
        return *gradients(ctx, grad_y, x, weight, bias, residual, transform, stats), *(None,) * 6


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
        kernels: Kernels,
        eps: float,
        activation: str | None,
        channel_dim: int,
    ) -> Tensor:
        transform = prepared(x, weight, bias, mask, eps, activation, channel_dim, 1)
        ctx.options = (kernels, eps, transform.activation, channel_dim)
        ctx.has_residual = residual is not None
        ctx.save_for_backward(x, weight, bias, _kept(residual, activation), mask, mean, var)
        if LISTENER.hear is not None:
            LISTENER.hear(ctx, x, residual, _normalize)
        return kernels.normalize(x, residual, transform, given(x, mean, var))

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, residual, mask, mean, var = ctx.saved_tensors
        kernels, eps, function, channel_dim = ctx.options
        if not _can_take(kernels, grad_y):
            options = {"eps": eps, "activation": function, "mask": mask, "channel_dim": channel_dim}

            def again(x: Tensor, weight: Tensor | None, bias: Tensor | None, residual: Tensor | None) -> Tensor:
                return reference.normalize(x, mean, var, weight, bias, residual=residual, **options)

            return *_again(ctx, grad_y, again), *(None,) * 7
        transform = prepared(x, weight, bias, mask, eps, function, channel_dim, 1)
        return *gradients(ctx, grad_y, x, weight, bias, residual, transform, given(x, mean, var)), *(None,) * 7


def _batch_norm(saved: list[Any], options: tuple[Any, ...]) -> Tensor:
    x, weight, bias, residual, mask, stats = saved
    kernels, *rest = options
    return kernels.normalize(x, residual, prepared(x, weight, bias, mask, *rest), stats)  # type: ignore[no-any-return]


def _normalize(saved: list[Any], options: tuple[Any, ...]) -> Tensor:
    return normalized(*saved, *options)


def normalized(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    residual: Tensor | None,
    mask: Tensor | None,
    mean: Tensor,
    var: Tensor,
    kernels: Kernels,
    eps: float,
    activation: str | Activation | None,
    channel_dim: int,
) -> Tensor:
    """The output of ``NormalizeFunction``, for nobody who differentiates."""
    transform = prepared(x, weight, bias, mask, eps, activation, channel_dim, 1)
    return kernels.normalize(x, residual, transform, given(x, mean, var))


def prepared(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mask: Tensor | None,
    eps: float,
    activation: str | Activation | None,
    channel_dim: int,
    groups: int,
) -> Transform:
    """The transform as the kernels want it."""
    dtype = moments_dtype(x.dtype)
    function = parse(activation) if isinstance(activation, str) else activation
    mask = None if mask is None else mask.contiguous()
    return Transform(_vector(weight, dtype), _vector(bias, dtype), eps, function, mask, channel_dim, groups)


def in_memory(tensor: Tensor | None) -> Tensor | None:
    """The tensor, or a copy where its values are not what lies at its address: negated, zero or sparse."""
    return None if tensor is None else _dense(tensor)


def given(x: Tensor, mean: Tensor, var: Tensor) -> Statistics:
    """Statistics that are not the batch's own, as the kernels want them."""
    dtype = moments_dtype(x.dtype)
    return Statistics(mean.to(dtype).reshape(1, -1).contiguous(), var.to(dtype).reshape(1, -1).contiguous())


def gradients(
    ctx: Any,
    grad_y: Tensor,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    residual: Tensor | None,
    transform: Transform,
    stats: Statistics | Tensor,
) -> tuple[Tensor | None, ...]:
    """The gradients of x, weight, bias and residual that are asked for."""
    needs, grad_y = ctx.needs_input_grad, _dense(grad_y)
    if needs[0] or residual is not None:
        grad_x, grad_weight, grad_bias, grad_residual = ctx.options[0].backward(grad_y, x, residual, transform, stats)
    else:
        grad_x, grad_residual = None, None
        grad_weight, grad_bias = ctx.options[0].backward_reduce(grad_y, x, None, transform, stats)
    if needs[3] and residual is None:
        grad_residual = grad_y if transform.mask is None else torch.where(transform.mask, grad_y, 0)
    return (
        grad_x if needs[0] else None,
        _summed(grad_weight, weight, needs[1]),
        _summed(grad_bias, bias, needs[2]),
        grad_residual,
    )


def _can_take(kernels: Kernels, grad_y: Tensor) -> bool:
    """Whether the kernels take this gradient, and nobody wants to differentiate what becomes of it."""
    return not torch.is_grad_enabled() and registry.is_plain(grad_y) and kernels.obstacle(grad_y) is None


def _again(ctx: Any, grad_y: Tensor, function: Callable[..., Tensor]) -> tuple[Tensor | None, ...]:
    """The gradients by the reference, as differentiable functions themselves where that is wanted."""
    x, weight, bias, residual = ctx.saved_tensors[:4]
    with torch.enable_grad():
        if ctx.has_residual and residual is None:
            residual = torch.zeros_like(x, requires_grad=True)
        y = function(x, weight, bias, residual)
    inputs = (x, weight, bias, residual)
    wanted = [t for t, needed in zip(inputs, ctx.needs_input_grad[:4], strict=True) if needed]
    graph = torch.is_grad_enabled()
    found = iter(torch.autograd.grad(y, wanted, grad_y, create_graph=graph, materialize_grads=True))
    return tuple(next(found) if needed else None for needed in ctx.needs_input_grad[:4])


def _dense(tensor: Tensor) -> Tensor:
    if tensor.layout is torch.strided and not tensor.is_neg() and not tensor._is_zerotensor():
        return tensor
    return tensor.to_dense().clone()


def _kept(residual: Tensor | None, activation: str | None) -> Tensor | None:
    """The residual, where the activation's derivative depends on it."""
    return None if activation is None or activation == "identity" else residual


def _vector(parameter: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    if parameter is None or (parameter.dtype is dtype and parameter.is_contiguous()):
        return parameter
    return parameter.detach().to(dtype).contiguous()


def _summed(gradient: Tensor, parameter: Tensor | None, needed: bool) -> Tensor | None:
    """Over the groups, in the parameter's type."""
    if parameter is None or not needed:
        return None
    return (gradient if gradient.ndim == 1 else gradient.sum(0)).to(parameter.dtype)
