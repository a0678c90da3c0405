"""The quickest way through a forward, for small tensors on the CPU.

There PyTorch's kernel is quicker than ours, and what surrounds it costs as much as the kernel itself. This is what
``normwise.ops`` with ``impl="torch"`` and ``statistics.update`` do, in two calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from normwise import ops
from normwise.nn import statistics
from normwise.ops import registry
from normwise.ops.batch_norm import cpu
from normwise.ops.batch_norm import torch as kernel

if TYPE_CHECKING:
    from normwise.nn.layer import Layer


def forward(layer: Layer, x: Tensor, residual: Tensor | None) -> Tensor | None:
    """Activation(BN(x) + residual), and the running statistics updated in training.

    None, with nothing done, where more must be decided.
    """
    weight, bias = layer._parameters.get("weight"), layer._parameters.get("bias")
    if not registry.is_plain(x, weight, bias, residual):
        return None
    buffers = layer._buffers  # without the detour of nn.Module's attributes, here and below
    mean, var = buffers.get("running_mean"), buffers.get("running_var")
    batches, skipped = buffers.get("num_batches_tracked"), buffers.get("skipped")
    if mean is None or var is None or not _fits(layer, x, residual, mean):
        return None
    if not cpu.can_update(mean, var, batches, skipped, mean):
        return None
    if layer.training:
        y, batch_mean, unbiased = kernel.native(x, weight, bias, layer.eps, x.dtype)
        cpu.update(mean, var, batches, skipped, batch_mean, unbiased, None, layer.momentum)
    else:
        kept = (mean.clone(), var.clone()) if torch.is_grad_enabled() else (mean, var)
        y = torch.batch_norm(x, weight, bias, *kept, False, 0.0, layer.eps, False)
    if residual is not None:
        y = y + residual
    return y if layer.activation is None else ops.activation(layer.activation).forward(y)


def _fits(layer: Layer, x: Tensor, residual: Tensor | None, mean: Tensor) -> bool:
    """Whether the batch is small, of the layer's type and channels, and to be counted."""
    size, channels, dtype, parameters = x.numel(), x.shape[1], mean.dtype, layer._parameters
    if not 0 < size <= registry.SMALL or channels != mean.shape[0] or x.dtype is not dtype or not x.is_cpu:
        return False
    if layer._pool is not None or layer.channel_dim != 1 or not layer.eps > 0:
        return False
    if layer.training and (size == channels or not statistics.should_update(layer)):
        return False
    if "weight" not in parameters or "bias" not in parameters:  # but parametrized
        return False
    if residual is not None and (residual.dtype is not dtype or residual.shape != x.shape or not residual.is_cpu):
        return False
    vectors = (parameters["weight"], parameters["bias"])
    return all(vector is None or (vector.dtype is dtype and vector.shape == mean.shape) for vector in vectors)
