"""The transform in four parts, between which moments and sums of several processes can be merged.

    moments                 count, μ and σ² of this process's values      → merge (normwise.moments.merge)
    normalize               y, given the moments of all
    backward_reduce         ∂L/∂γ and ∂L/∂β over this process's values    → sum
    backward_elementwise    ∂L/∂x and ∂L/∂residual, given the moments and sums of all

None of them is differentiable. They run by kernels of our own where those can, else by plain torch. Statistics are
(C,). ``moments`` is what ``normwise.estimate_population`` collects; the other three wait for layers that synchronize
their statistics over processes. Source: README.md beside this file; Ioffe & Szegedy 2015, arXiv:1502.03167, section 3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from normwise.moments import Moments
from normwise.ops import tracing
from normwise.ops.batch_norm import reference
from normwise.ops.batch_norm.arguments import full_mask
from normwise.ops.batch_norm.choice import own
from normwise.ops.batch_norm.implementations import KERNELS, Parts
from normwise.ops.batch_norm.transform import Statistics, Transform


@torch.no_grad()
def moments(x: Tensor, *, mask: Tensor | None = None, channel_dim: int = 1) -> Moments:
    """The moments of each channel of ``x``, over the positions where ``mask`` (as in ``batch_norm``) is True."""
    channel_dim %= x.ndim
    mask = None if mask is None else full_mask(mask, x, channel_dim)
    transform = Transform(mask=mask, channel_dim=channel_dim)
    mean, var, _, count = _parts(transform, x, mask).moments(x, transform)
    return Moments(count, mean, var)


@torch.no_grad()
def normalize(x: Tensor, over: Moments, transform: Transform, residual: Tensor | None = None) -> Tensor:
    """The output activation(γ·(x − μ)/√(σ² + ε) + β + residual), for the moments ``over`` all values."""
    found = _parts(transform, x, residual, transform.weight, transform.bias, *over)
    return found.normalize(x, residual, transform, _statistics(over))


@torch.no_grad()
def backward_reduce(
    grad_y: Tensor, x: Tensor, over: Moments, transform: Transform, residual: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The sums Σ g·x̂ and Σ g over the values of ``x``, with g = ∂L/∂z: the gradients of γ and β."""
    kept = None if transform.activation is None else residual
    found = _parts(transform, x, grad_y, kept, transform.weight, transform.bias, *over)
    return found.backward_reduce(grad_y, x, kept, transform, _statistics(over))


@torch.no_grad()
def backward_elementwise(
    grad_y: Tensor,
    x: Tensor,
    over: Moments,
    transform: Transform,
    sums: tuple[Tensor, Tensor],
    residual: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """The gradients of x and residual, for the moments ``over`` all values and the ``sums`` over all of them.

    ∂L/∂x = γ/√(σ² + ε)·(g − Σg/m − x̂·Σ(g·x̂)/m)
    """
    kept = None if transform.activation is None else residual
    found = _parts(transform, x, grad_y, kept, transform.weight, transform.bias, *over, *sums)
    grad_x, grad_residual = found.backward_elementwise(grad_y, x, kept, transform, _statistics(over), sums)
    return grad_x, grad_y if residual is not None and kept is None else grad_residual


def _parts(transform: Transform, x: Tensor, *others: Tensor | None) -> Parts:
    """The kernels that can run on these tensors, else the reference."""
    found = own(x, transform) if tracing.is_ordinary(x, *others) else None
    return reference if found is None else KERNELS[found]


def _statistics(over: Moments) -> Statistics:
    return Statistics(over.mean, over.var, None, over.count)
