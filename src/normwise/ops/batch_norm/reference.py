"""The transform as it is defined, in plain differentiable torch: what every other implementation is tested against.

It takes every option, has derivatives of every order and works under torch.func transforms. Shapes:

    G groups   N examples in a group   C channels   S positions (any number of axes, none included)
"""

from __future__ import annotations

import torch
from torch import Tensor

from normwise.moments import batch_moments, moments_dtype
from normwise.ops.activations import IDENTITY
from normwise.ops.batch_norm.transform import DEFAULT, Statistics, Transform


def obstacle(x: Tensor, transform: Transform = DEFAULT, training: bool = True) -> None:
    """None: it can do everything."""


def forward(x: Tensor, residual: Tensor | None, transform: Transform) -> tuple[Tensor, Tensor]:
    """The output f(BN(x) + residual), differentiable, and the batch's statistics, stacked."""
    _, _, mask, eps, _, channel_dim, groups, _ = transform
    x_GNCS = _split(x.to(moments_dtype(x.dtype)), channel_dim, groups)  # once, so that its gradients are summed there
    mask_GNCS = None if mask is None else _split(mask, channel_dim, groups)
    count_GC, mean_GC, var_GC = batch_moments(x_GNCS, (1, *range(3, x_GNCS.ndim)), mask_GNCS)
    scale_GC = _scale(var_GC + eps, transform.weight)
    y_GNCS = (_masked(x_GNCS, mask_GNCS) - _spread(mean_GC, x_GNCS)) * _spread(scale_GC, x_GNCS)
    if transform.bias is not None:
        y_GNCS = y_GNCS + _spread(transform.bias.unsqueeze(0), x_GNCS)
    if residual is not None:
        residual = _masked(_split(residual, channel_dim, groups), mask_GNCS)
    y_GNCS = transform.finished(y_GNCS, residual)
    y = _join(_masked(y_GNCS, mask_GNCS), channel_dim).to(x.dtype)
    return y, _stacked(mean_GC, var_GC, count_GC, groups)


def normalize(x: Tensor, residual: Tensor | None, transform: Transform, stats: Statistics | Tensor) -> Tensor:
    """The output f((x − μ)·γ/√(σ² + ε) + β + residual), differentiable, for given statistics without groups."""
    mean, var, *_ = stats
    dtype, mask, dim = moments_dtype(x.dtype), transform.mask, transform.channel_dim
    x, residual = _masked(x, mask), None if residual is None else _masked(residual, mask)
    scale = _scale(var.to(dtype) + transform.eps, transform.weight)
    y = (x.to(dtype) - _along(mean.to(dtype), x, dim)) * _along(scale.to(dtype), x, dim)
    if transform.bias is not None:
        y = y + _along(transform.bias.to(dtype), x, dim)
    return _masked(transform.finished(y, residual), mask).to(x.dtype)


def moments(x: Tensor, transform: Transform) -> Tensor:
    """The statistics of x alone, stacked."""
    x_GNCS = _split(x, transform.channel_dim, transform.groups)
    mask = None if transform.mask is None else _split(transform.mask, transform.channel_dim, transform.groups)
    count_GC, mean_GC, var_GC = batch_moments(x_GNCS, (1, *range(3, x_GNCS.ndim)), mask)
    return _stacked(mean_GC, var_GC, count_GC, transform.groups)


def backward_reduce(
    grad_y: Tensor, x: Tensor, residual: Tensor | None, transform: Transform, stats: Statistics | Tensor
) -> tuple[Tensor, Tensor]:
    """The gradients of weight and bias, Σ g·x̂ and Σ g over the values of x, with g = ∂L/∂z; without mask and groups."""
    normalized, g = _gradient_of_z(grad_y, x, residual, transform, stats)
    dims = [dim for dim in range(x.ndim) if dim != transform.channel_dim]
    return (g * normalized).sum(dims), g.sum(dims)


def backward_elementwise(
    grad_y: Tensor,
    x: Tensor,
    residual: Tensor | None,
    transform: Transform,
    stats: Statistics,
    sums: tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor | None]:
    """The gradients of x and residual, given those of weight and bias over all values that ``stats`` counts.

    ∂L/∂x = γ/√(σ² + ε)·(g − Σg/m − x̂·Σ(g·x̂)/m), without mask and groups.
    """
    assert stats.count is not None
    dim, count = transform.channel_dim, stats.count.clamp(min=1)
    normalized, g = _gradient_of_z(grad_y, x, residual, transform, stats)
    scale = _scale(stats.var + transform.eps, transform.weight)
    by_weight, by_bias = (_along(s / count, x, dim) for s in sums)
    grad_x = _along(scale, x, dim) * (g - by_bias - normalized * by_weight)
    return grad_x.to(x.dtype), None if residual is None else g.to(residual.dtype)


def _gradient_of_z(
    grad_y: Tensor, x: Tensor, residual: Tensor | None, transform: Transform, stats: Statistics | Tensor
) -> tuple[Tensor, Tensor]:
    """x̂ and the gradient of z = γ·x̂ + β + residual."""
    mean, var, *_ = stats
    dim, scale = transform.channel_dim, torch.rsqrt(var + transform.eps)
    normalized = (x.to(scale.dtype) - _along(mean, x, dim)) * _along(scale, x, dim)
    z = normalized if transform.weight is None else normalized * _along(transform.weight, x, dim)
    if transform.bias is not None:
        z = z + _along(transform.bias, x, dim)
    if residual is not None:
        z = z + residual
    return normalized, grad_y.to(scale.dtype) * (transform.activation or IDENTITY).derivative(z)


def _scale(var_plus_eps: Tensor, weight: Tensor | None) -> Tensor:
    return torch.rsqrt(var_plus_eps) if weight is None else torch.rsqrt(var_plus_eps) * weight


def _stacked(mean_GC: Tensor, var_GC: Tensor, count_GC: Tensor, groups: int) -> Tensor:
    stats = torch.stack([s.detach() for s in (mean_GC, var_GC, torch.zeros_like(mean_GC), count_GC)])
    return stats.squeeze(1) if groups == 1 else stats


def _split(x: Tensor, channel_dim: int, groups: int) -> Tensor:
    """(N, …, C, …) to (G, N, C, S): the first axis that is not the channel's is split into consecutive groups."""
    x_NCS = x.movedim(channel_dim, 1)
    return x_NCS.reshape(groups, x_NCS.shape[0] // groups, *x_NCS.shape[1:])


def _join(x_GNCS: Tensor, channel_dim: int) -> Tensor:
    return x_GNCS.flatten(0, 1).movedim(1, channel_dim)


def _spread(value_GC: Tensor, x_GNCS: Tensor) -> Tensor:
    groups, channels = value_GC.shape
    return value_GC.reshape(groups, 1, channels, *[1] * (x_GNCS.ndim - 3))


def _along(value_C: Tensor, x: Tensor, channel_dim: int) -> Tensor:
    return value_C.reshape([-1 if dim == channel_dim else 1 for dim in range(x.ndim)])


def _masked(x: Tensor, mask: Tensor | None) -> Tensor:
    """Zero where the mask is False, so that what a masked position holds reaches neither an output nor a gradient."""
    return x if mask is None else torch.where(mask, x, 0)
