"""The one place where a layer's population moments change."""

from __future__ import annotations

from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from normwise import moments
from normwise.ops import BatchNormOutput, registry
from normwise.ops.batch_norm import cpu


def update(layer: _BatchNorm, batch: BatchNormOutput) -> None:
    """Let the running statistics of ``layer`` see one more batch.

    First ``num_batches_tracked ← num_batches_tracked + 1``, then, for the mean and the unbiased variance m/(m − 1)·σ²,

        running ← (1 − momentum)·running + momentum·batch

    where a ``momentum`` of None stands for 1/num_batches_tracked, which makes ``running`` the plain average over the
    batches, and for 0 where the layer has no such counter. An empty batch moves the counter and leaves the statistics,
    as in torch. Buffers change in place.
    """
    batches, mean, var = layer.num_batches_tracked, layer.running_mean, layer.running_var
    if mean is not None and var is not None and _is_quick(mean, var, batches, batch):
        cpu.update(mean, var, batches, batch.mean, batch.var, batch.count, layer.momentum)
        return
    if batches is not None:
        batches.add_(1)
    if mean is None or var is None or batch.y.numel() == 0:
        return
    momentum: float | Tensor = 0.0 if layer.momentum is None else layer.momentum
    if layer.momentum is None and batches is not None:
        momentum = moments.cumulative_momentum(batches, mean.dtype)
    moments.running(mean, batch.mean, momentum, out=mean)
    moments.running(var, moments.unbiased(batch.var, batch.count), momentum, out=var)


def _is_quick(mean: Tensor, var: Tensor, batches: Tensor | None, batch: BatchNormOutput) -> bool:
    """Whether one compiled call does it."""
    return (
        registry.is_plain(mean, var, batches, *batch)
        and cpu.can_update(mean, var, batches, batch.mean)
        and batch.y.numel() > 0
    )
