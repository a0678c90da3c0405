"""The one place where a layer's population moments change."""

from __future__ import annotations

from torch.nn.modules.batchnorm import _BatchNorm

from normwise import moments
from normwise.ops import BatchNormOutput


def update(layer: _BatchNorm, batch: BatchNormOutput) -> None:
    """Let the running statistics of ``layer`` see one more batch.

    First ``num_batches_tracked ← num_batches_tracked + 1``, then, for the mean and the unbiased variance m/(m − 1)·σ²,

        running ← (1 − momentum)·running + momentum·batch

    where a ``momentum`` of None stands for 1/num_batches_tracked, which makes ``running`` the plain average over the
    batches. An empty batch moves the counter and leaves the statistics, as in torch. Buffers change in place.
    """
    batches, mean, var = layer.num_batches_tracked, layer.running_mean, layer.running_var
    if batches is None or mean is None or var is None:
        return
    batches.add_(1)
    if batch.y.numel() == 0:
        return
    momentum = moments.cumulative_momentum(batches, mean.dtype) if layer.momentum is None else layer.momentum
    moments.running(mean, batch.mean, momentum, out=mean)
    moments.running(var, moments.unbiased(batch.var, batch.count), momentum, out=var)
