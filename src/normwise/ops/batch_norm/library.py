"""The transform by kernels of our own as an operator that torch knows: for torch.compile and all else that traces.

``torch.ops.normwise.batch_norm`` returns y and the statistics as ``Statistics`` has them, stacked: mean, var, what
rounding took from the mean, and count. Gradients reach x, weight, bias and residual. Eager calls do not pass through
here.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from normwise.moments import moments_dtype
from normwise.ops.activations import activation as parse
from normwise.ops.batch_norm.implementations import KERNELS, Kernels
from normwise.ops.batch_norm.layout import memory_format
from normwise.ops.batch_norm.transform import Transform


@torch.library.custom_op("normwise::batch_norm", mutates_args=(), device_types=("cpu", "cuda"))
def batch_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    residual: Tensor | None,
    activation: str | None,
    mask: Tensor | None,
    channel_dim: int,
    groups: int,
) -> tuple[Tensor, Tensor]:
    """The transform of ``normwise.ops.batch_norm``, and the statistics, stacked."""
    return _kernels(x).forward(x, residual, _transform(x, weight, bias, mask, eps, activation, channel_dim, groups))


@batch_norm.register_fake
def _(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    residual: Tensor | None,
    activation: str | None,
    mask: Tensor | None,
    channel_dim: int,
    groups: int,
) -> tuple[Tensor, Tensor]:
    channels = x.shape[channel_dim]
    shape = (4, channels) if groups == 1 else (4, groups, channels)
    y = torch.empty_like(x, memory_format=memory_format(x, channel_dim % x.ndim))
    return y, x.new_empty(shape, dtype=moments_dtype(x.dtype))


@torch.library.custom_op("normwise::batch_norm_backward", mutates_args=(), device_types=("cpu", "cuda"))
def batch_norm_backward(
    grad_y: Tensor,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    residual: Tensor | None,
    mask: Tensor | None,
    stats: Tensor,
    eps: float,
    activation: str | None,
    channel_dim: int,
    groups: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients of x, weight, bias and residual; the last is empty where there is no residual."""
    dtype = moments_dtype(x.dtype)
    transform = _transform(x, weight, bias, mask, eps, activation, channel_dim, groups)
    found = _kernels(x).backward(grad_y.to(x.dtype), x, residual, transform, stats.contiguous())
    sums = (s if groups == 1 else s.sum(0) for s in (found.weight, found.bias))
    like = (weight.dtype if weight is not None else dtype, bias.dtype if bias is not None else dtype)
    grad_residual = x.new_empty(0) if found.residual is None else found.residual
    grad_weight, grad_bias = (s.to(d) for s, d in zip(sums, like, strict=True))
    return found.x, grad_weight, grad_bias, grad_residual


@batch_norm_backward.register_fake
def _(
    grad_y: Tensor,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    residual: Tensor | None,
    mask: Tensor | None,
    stats: Tensor,
    eps: float,
    activation: str | None,
    channel_dim: int,
    groups: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    dtype = moments_dtype(x.dtype)

    def vector(parameter: Tensor | None) -> Tensor:
        return x.new_empty(x.shape[channel_dim], dtype=dtype if parameter is None else parameter.dtype)

    def like() -> Tensor:
        return torch.empty_like(x, memory_format=memory_format(x, channel_dim % x.ndim))

    return like(), vector(weight), vector(bias), x.new_empty(0) if residual is None else like()


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, weight, bias, eps, residual, activation, mask, channel_dim, groups = inputs
    ctx.options = (eps, activation, channel_dim, groups)
    _, stats = output
    ctx.save_for_backward(x, weight, bias, residual, mask, stats)
    ctx.mark_non_differentiable(stats)
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, grad_y: Tensor | None, *_: Tensor | None) -> tuple[Tensor | None, ...]:
    if grad_y is None:
        return (None,) * 9
    x, weight, bias, residual, mask, stats = ctx.saved_tensors
    grads = batch_norm_backward(grad_y, x, weight, bias, residual, mask, stats, *ctx.options)
    given = (x, weight, bias, residual)
    grad_x, grad_weight, grad_bias, grad_residual = (
        grad if tensor is not None else None for grad, tensor in zip(grads, given, strict=True)
    )
    return grad_x, grad_weight, grad_bias, None, grad_residual, None, None, None, None


batch_norm.register_autograd(_backward, setup_context=_setup)


def _kernels(x: Tensor) -> Kernels:
    return KERNELS["triton" if x.is_cuda else "cpu"]


def _transform(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mask: Tensor | None,
    eps: float,
    activation: str | None,
    channel_dim: int,
    groups: int,
) -> Transform:
    """The transform of the bare operator, whose mask may lack the channel's axis."""
    channel_dim %= x.ndim
    if mask is not None and mask.ndim != x.ndim:
        sizes = [n for dim, n in enumerate(x.shape) if dim != channel_dim]
        mask = mask.expand(sizes).unsqueeze(channel_dim)
    function = None if activation is None else parse(activation)
    return Transform(weight, bias, mask, eps, function, channel_dim, groups)
