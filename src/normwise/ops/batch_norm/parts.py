"""The transform in four parts, between which moments and sums of several processes can be merged.

    moments                 count, μ and σ² of this process's values      → merge (normwise.moments.merge)
    normalize               y, given the moments of all
    backward_reduce         ∂L/∂γ and ∂L/∂β over this process's values    → sum
    backward_elementwise    ∂L/∂x and ∂L/∂residual, given the moments and sums of all

None of them is differentiable. They run by kernels of our own where those can, else by plain torch. Statistics are
(C,). Source: README.md beside this file; Ioffe & Szegedy 2015, arXiv:1502.03167, section 3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from normwise.moments import Moments, batch_moments, moments_dtype
from normwise.ops import registry
from normwise.ops.activations import activation as parse
from normwise.ops.batch_norm import reference
from normwise.ops.batch_norm.function import in_memory, prepared
from normwise.ops.batch_norm.kernels import BY_IMPL, Kernels
from normwise.ops.batch_norm.op import full_mask
from normwise.ops.batch_norm.transform import Statistics, Transform


@torch.no_grad()
def moments(x: Tensor, *, mask: Tensor | None = None, channel_dim: int = 1) -> Moments:
    """The moments of each channel of ``x``, over the positions where ``mask`` (as in ``batch_norm``) is True."""
    channel_dim %= x.ndim
    mask = None if mask is None else full_mask(mask, x, channel_dim)
    kernels = _kernels(x, mask)
    if kernels is None:
        return batch_moments(x, tuple(dim for dim in range(x.ndim) if dim != channel_dim), mask)
    mean, var, _, count = kernels.moments(x, prepared(x, None, None, mask, 0.0, None, channel_dim, 1))
    return Moments(count, mean, var)


@torch.no_grad()
def normalize(
    x: Tensor,
    over: Moments,
    weight: Tensor | None,
    bias: Tensor | None,
    *,
    eps: float,
    residual: Tensor | None = None,
    activation: str | None = None,
    channel_dim: int = 1,
) -> Tensor:
    """The output activation(γ·(x − μ)/√(σ² + ε) + β + residual), for the moments ``over`` all values."""
    channel_dim %= x.ndim
    transform = prepared(x, weight, bias, None, eps, activation, channel_dim, 1)
    if kernels := _kernels(x, weight, bias, residual, *over):
        return kernels.normalize(x, residual, transform, _statistics(x, over))
    return reference.normalize(
        x,
        over.mean,
        over.var,
        weight,
        bias,
        eps=eps,
        residual=residual,
        activation=transform.activation,
        channel_dim=channel_dim,
    )


@torch.no_grad()
def backward_reduce(
    grad_y: Tensor,
    x: Tensor,
    over: Moments,
    weight: Tensor | None,
    bias: Tensor | None,
    *,
    eps: float,
    residual: Tensor | None = None,
    activation: str | None = None,
    channel_dim: int = 1,
) -> tuple[Tensor, Tensor]:
    """The sums Σ g·x̂ and Σ g over the values of ``x``, with g = ∂L/∂z: the gradients of γ and β."""
    channel_dim %= x.ndim
    transform = prepared(x, weight, bias, None, eps, activation, channel_dim, 1)
    if kernels := _kernels(x, grad_y, weight, bias, residual, *over):
        kept = None if transform.activation is None else residual
        return kernels.backward_reduce(grad_y, x, kept, transform, _statistics(x, over))
    normalized, g = _gradient_of_z(grad_y, x, over, transform, residual)
    dims = [dim for dim in range(x.ndim) if dim != channel_dim]
    return (g * normalized).sum(dims), g.sum(dims)


@torch.no_grad()
def backward_elementwise(
    grad_y: Tensor,
    x: Tensor,
    over: Moments,
    weight: Tensor | None,
    bias: Tensor | None,
    sums: tuple[Tensor, Tensor],
    *,
    eps: float,
    residual: Tensor | None = None,
    activation: str | None = None,
    channel_dim: int = 1,
) -> tuple[Tensor, Tensor | None]:
    """The gradients of x and residual, for the moments ``over`` all values and the ``sums`` over all of them.

    ∂L/∂x = γ/√(σ² + ε)·(g − Σg/m − x̂·Σ(g·x̂)/m)
    """
    channel_dim %= x.ndim
    transform = prepared(x, weight, bias, None, eps, activation, channel_dim, 1)
    if kernels := _kernels(x, grad_y, weight, bias, residual, *over, *sums):
        kept = None if transform.activation is None else residual
        by_weight, by_bias = (s.to(moments_dtype(x.dtype)).contiguous() for s in sums)
        grad_x, grad_residual = kernels.backward_elementwise(
            grad_y, x, kept, transform, _statistics(x, over), (by_weight, by_bias)
        )
        return grad_x, grad_y if residual is not None and kept is None else grad_residual
    normalized, g = _gradient_of_z(grad_y, x, over, transform, residual)
    scale = torch.rsqrt(over.var + eps) if weight is None else torch.rsqrt(over.var + eps) * weight
    by_weight, by_bias = (_spread(s / over.count.clamp(min=1), x, channel_dim) for s in sums)
    grad_x = _spread(scale, x, channel_dim) * (g - by_bias - normalized * by_weight)
    return grad_x.to(x.dtype), None if residual is None else g.to(residual.dtype)


def _kernels(x: Tensor, *others: Tensor | None) -> Kernels | None:
    """Those that can run, if any."""
    tensors, found = (x, *others), registry.own(x)
    able = found is not None and registry.is_plain(*tensors) and all(in_memory(t) is t for t in tensors)
    return BY_IMPL[found] if found is not None and able else None


def _statistics(x: Tensor, over: Moments) -> Statistics:
    dtype = moments_dtype(x.dtype)
    mean, var, count = (s.to(dtype).reshape(1, -1).contiguous() for s in (over.mean, over.var, over.count))
    return Statistics(mean, var, None, count)


def _gradient_of_z(
    grad_y: Tensor, x: Tensor, over: Moments, transform: Transform, residual: Tensor | None
) -> tuple[Tensor, Tensor]:
    """x̂ and the gradient of z = γ·x̂ + β + residual."""
    dim = transform.channel_dim
    scale = torch.rsqrt(over.var + transform.eps)
    normalized = (x.to(scale.dtype) - _spread(over.mean, x, dim)) * _spread(scale, x, dim)
    z = normalized if transform.weight is None else normalized * _spread(transform.weight, x, dim)
    if transform.bias is not None:
        z = z + _spread(transform.bias, x, dim)
    if residual is not None:
        z = z + residual
    function = transform.activation or parse("identity")
    return normalized, grad_y.to(scale.dtype) * function.derivative(z)


def _spread(vector: Tensor, x: Tensor, channel_dim: int) -> Tensor:
    return vector.reshape([-1 if dim == channel_dim else 1 for dim in range(x.ndim)])
