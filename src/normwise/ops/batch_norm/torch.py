"""The transform by PyTorch's own kernel, for what that kernel can do."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from normwise.moments import biased, moments_dtype
from normwise.ops.batch_norm.transform import DEFAULT, Statistics, Transform
from normwise.ops.tracing import is_eager, is_transformed


def obstacle(x: Tensor, transform: Transform = DEFAULT, training: bool = True) -> str | None:
    """Why PyTorch's kernel cannot do this, or None where it can; ``training`` where the moments are the batch's own."""
    if transform.mask is not None:
        return "it takes no mask"
    if transform.channel_dim not in (1, x.ndim - 1):
        return f"it needs the channels on axis 1 or the last, got channel_dim={transform.channel_dim}"
    if transform.groups != 1:
        return f"it needs groups=1, got {transform.groups}"
    if not training:
        return None
    if x.numel() <= x.shape[transform.channel_dim]:
        return f"it needs more than one value per channel, got x of shape {tuple(x.shape)}"
    if is_transformed():
        return "it writes into tensors, which torch.func transforms refuse"
    return None


def forward(x: Tensor, residual: Tensor | None, transform: Transform) -> tuple[Tensor, Tensor]:
    """The output f(BN(x) + residual), differentiable, and the batch's statistics, stacked.

    The kernel only gives the batch moments away through running statistics. Zeros updated with momentum 1,
    ``running ← (1 − 1)·0 + 1·batch``, hold exactly the mean and the unbiased variance of the batch.
    """
    dtype, count = moments_dtype(x.dtype), x.numel() // x.shape[transform.channel_dim]
    weight, bias = _to(transform.weight, dtype), _to(transform.bias, dtype)
    x_NC = _channels_second(x, transform.channel_dim)
    mean, unbiased = (torch.zeros(x_NC.shape[1], dtype=dtype, device=x.device) for _ in range(2))
    y = F.batch_norm(x_NC, mean, unbiased, weight, bias, training=True, momentum=1.0, eps=transform.eps)
    stats = torch.stack([mean, biased(unbiased, count), torch.zeros_like(mean), torch.full_like(mean, count)])
    return transform.finished(_reshaped(y, x_NC, x), residual), stats


def normalize(x: Tensor, residual: Tensor | None, transform: Transform, stats: Statistics | Tensor) -> Tensor:
    """The output f((x − μ)·γ/√(σ² + ε) + β + residual), differentiable, for given statistics."""
    mean, var, *_ = stats
    weight, bias = transform.weight, transform.bias
    if {t.dtype for t in (mean, var, weight, bias) if t is not None} != {x.dtype}:  # of which the kernel takes few
        dtype = moments_dtype(x.dtype)
        mean, var, weight, bias = mean.to(dtype), var.to(dtype), _to(weight, dtype), _to(bias, dtype)
    x_NC = _channels_second(x, transform.channel_dim)
    y = F.batch_norm(x_NC, mean, var, weight, bias, training=False, eps=transform.eps)
    return transform.finished(_reshaped(y, x_NC, x), residual)


def _reshaped(y: Tensor, x_NC: Tensor, x: Tensor) -> Tensor:
    """The kernel's output, whose gradient reaches the kernel laid out as its input is.

    On the CPU, PyTorch 2.13's backward is wrong by as much as the gradient itself where axes of size 1 let it read the
    input as contiguous and the gradient as channels_last, or the other way round.
    """
    if is_eager(y) and not is_transformed() and y.requires_grad and y.is_cpu and 1 in y.shape:
        strides = torch.empty_like(x_NC, device="meta").stride()

        def relaid(g: Tensor) -> Tensor:
            return g if g.stride() == strides else g.new_empty_strided(g.shape, strides).copy_(g)

        y.register_hook(relaid)  # type: ignore[no-untyped-call]
    return y if x_NC is x else y.reshape(x.shape)


def _channels_second(x: Tensor, channel_dim: int) -> Tensor:
    """(N, …, C) as (N·…, C), where the channels are last."""
    return x if channel_dim == 1 else x.flatten(0, -2)


def _to(tensor: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    return tensor if tensor is None or tensor.dtype is dtype else tensor.to(dtype)
