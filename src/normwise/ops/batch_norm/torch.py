"""The transform by PyTorch's own kernel, for what that kernel can do."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from normwise.moments import biased, moments_dtype
from normwise.ops.activations import Activation
from normwise.ops.batch_norm.epilogue import add_and_activate
from normwise.ops.batch_norm.output import BatchNormOutput


def obstacle(x: Tensor, mask: Tensor | None, channel_dim: int, groups: int, training: bool = True) -> str | None:
    """Why PyTorch's kernel cannot do this, or None where it can; ``training`` where the moments are the batch's own."""
    if mask is not None:
        return "it takes no mask"
    if channel_dim not in (1, x.ndim - 1):
        return f"it needs the channels on axis 1 or the last, got channel_dim={channel_dim}"
    if groups != 1:
        return f"it needs groups=1, got {groups}"
    if not training:
        return None
    if x.numel() <= x.shape[channel_dim]:
        return f"it needs more than one value per channel, got x of shape {tuple(x.shape)}"
    if torch._C._are_functorch_transforms_active():
        return "it writes into tensors, which torch.func transforms refuse"
    return None


def batch_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    *,
    eps: float,
    residual: Tensor | None = None,
    activation: Activation | None = None,
    channel_dim: int = 1,
    plain: bool = True,
) -> BatchNormOutput:
    """The transform of ``normwise.ops.batch_norm``, whose arguments have been checked; ``plain`` outside tracing.

    The kernel only gives the batch moments away through running statistics. Zeros updated with momentum 1,
    ``running ← (1 − 1)·0 + 1·batch``, hold exactly the mean and the unbiased variance of the batch.
    """
    dtype = moments_dtype(x.dtype)
    channels = x.shape[channel_dim]
    weight, bias = _to(weight, dtype), _to(bias, dtype)
    if plain and x.device.type == "cpu":
        y, mean, unbiased_var = native(_channels_second(x, channel_dim), weight, bias, eps, dtype)
    else:
        mean, unbiased_var = x.new_zeros(channels, dtype=dtype), x.new_zeros(channels, dtype=dtype)
        x_NC = _channels_second(x, channel_dim)
        y = F.batch_norm(x_NC, mean, unbiased_var, weight, bias, training=True, momentum=1.0, eps=eps)
    y = add_and_activate(y.reshape(x.shape), residual, activation)
    count = x.numel() // channels
    return BatchNormOutput(y, mean, biased(unbiased_var, count), x.new_full((channels,), count, dtype=dtype))


def native(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Y, and the mean and unbiased variance of x, by ``torch.native_batch_norm`` itself.

    What ``F.batch_norm`` does before it is a tenth of a small layer's time.
    """
    mean = torch.zeros(x.shape[1], dtype=dtype, device=x.device)
    unbiased_var = torch.zeros_like(mean)
    y = torch.native_batch_norm(x, weight, bias, mean, unbiased_var, True, 1.0, eps)[0]
    return y, mean, unbiased_var


def _channels_second(x: Tensor, channel_dim: int) -> Tensor:
    """(N, …, C) as (N·…, C), where the channels are last."""
    return x if channel_dim == 1 else x.flatten(0, -2)


def _to(tensor: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    return tensor if tensor is None or tensor.dtype is dtype else tensor.to(dtype)


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
    channel_dim: int = 1,
) -> Tensor:
    """The transform of ``normwise.ops.normalize``, whose arguments have been checked."""
    if {t.dtype for t in (mean, var, weight, bias) if t is not None} != {x.dtype}:  # of which the kernel takes few
        dtype = moments_dtype(x.dtype)
        mean, var, weight, bias = mean.to(dtype), var.to(dtype), _to(weight, dtype), _to(bias, dtype)
    y = F.batch_norm(_channels_second(x, channel_dim), mean, var, weight, bias, training=False, eps=eps)
    return add_and_activate(y.reshape(x.shape), residual, activation)
