"""The transform as it is defined, in plain differentiable torch: what every other implementation is tested against.

It takes every option, has derivatives of every order and works under torch.func transforms. Shapes:

    G groups   N examples in a group   C channels   S positions (any number of axes, none included)
"""

from __future__ import annotations

import torch
from torch import Tensor

from normwise.moments import batch_moments, moments_dtype
from normwise.ops.activations import Activation
from normwise.ops.batch_norm.epilogue import add_and_activate
from normwise.ops.batch_norm.output import BatchNormOutput


def batch_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    *,
    eps: float,
    residual: Tensor | None = None,
    activation: Activation | None = None,
    mask: Tensor | None = None,
    channel_dim: int = 1,
    groups: int = 1,
) -> BatchNormOutput:
    """The transform of ``normwise.ops.batch_norm``, whose arguments have been checked.

    ``mask`` has as many axes as ``x``, and size 1 on the channel's.
    """
    x_GNCS = _split(x.to(moments_dtype(x.dtype)), channel_dim, groups)  # once, so that its gradients are summed there
    mask_GNCS = None if mask is None else _split(mask, channel_dim, groups)
    count_GC, mean_GC, var_GC = batch_moments(x_GNCS, (1, *range(3, x_GNCS.ndim)), mask_GNCS)
    scale_GC = torch.rsqrt(var_GC + eps) if weight is None else torch.rsqrt(var_GC + eps) * weight
    y_GNCS = (_masked(x_GNCS, mask_GNCS) - _spread(mean_GC, x_GNCS)) * _spread(scale_GC, x_GNCS)
    if bias is not None:
        y_GNCS = y_GNCS + _spread(bias.unsqueeze(0), x_GNCS)
    if residual is not None:
        residual = _masked(_split(residual, channel_dim, groups), mask_GNCS)
    y_GNCS = add_and_activate(y_GNCS, residual, activation)
    y = _join(_masked(y_GNCS, mask_GNCS), channel_dim).to(x.dtype)
    mean, var, count = (m.detach().squeeze(0) if groups == 1 else m.detach() for m in (mean_GC, var_GC, count_GC))
    return BatchNormOutput(y, mean, var, count)


def normalize(
    x: Tensor,
    mean: Tensor,
    var: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    *,
    eps: float,
    residual: Tensor | None = None,
    activation: Activation | None = None,
    mask: Tensor | None = None,
    channel_dim: int = 1,
) -> Tensor:
    """The transform of ``normwise.ops.normalize``, whose arguments have been checked."""
    dtype = moments_dtype(x.dtype)
    x, residual = _masked(x, mask), None if residual is None else _masked(residual, mask)

    def spread(vector: Tensor) -> Tensor:
        return vector.to(dtype).reshape([-1 if dim == channel_dim else 1 for dim in range(x.ndim)])

    scale = torch.rsqrt(var.to(dtype) + eps) if weight is None else torch.rsqrt(var.to(dtype) + eps) * weight
    y = (x.to(dtype) - spread(mean)) * spread(scale)
    if bias is not None:
        y = y + spread(bias)
    return _masked(add_and_activate(y, residual, activation), mask).to(x.dtype)


def _split(x: Tensor, channel_dim: int, groups: int) -> Tensor:
    """(N, …, C, …) to (G, N, C, S): the first axis that is not the channel's is split into consecutive groups."""
    x_NCS = x.movedim(channel_dim, 1)
    return x_NCS.reshape(groups, x_NCS.shape[0] // groups, *x_NCS.shape[1:])


def _join(x_GNCS: Tensor, channel_dim: int) -> Tensor:
    return x_GNCS.flatten(0, 1).movedim(1, channel_dim)


def _spread(value_GC: Tensor, x_GNCS: Tensor) -> Tensor:
    groups, channels = value_GC.shape
    return value_GC.reshape(groups, 1, channels, *[1] * (x_GNCS.ndim - 3))


def _masked(x: Tensor, mask: Tensor | None) -> Tensor:
    """Zero where the mask is False, so that what a masked position holds reaches neither an output nor a gradient."""
    return x if mask is None else torch.where(mask, x, 0)
