"""The one place where a layer's population moments change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from normwise import moments
from normwise.moments import Moments
from normwise.ops import registry
from normwise.ops.batch_norm import cpu, triton

if TYPE_CHECKING:
    from normwise.nn.layer import Layer


def should_update(layer: Layer) -> bool:
    """Whether this forward of ``layer`` is one that its running statistics should see.

    That is a forward in training, unless it runs within a ``torch.func`` transform or a backward: what runs there is a
    forward that ``torch.utils.checkpoint`` recomputes, whose first run was seen, or one that a backward hook asked
    for, which looks the same. While ``torch.compile`` traces, which recomputes operators and not forwards, every
    forward is seen.
    """
    return (
        layer.training
        and layer.track_running_stats
        and not torch._C._are_functorch_transforms_active()
        and (torch.compiler.is_compiling() or torch._C._current_graph_task_id() == -1)
    )


def update(layer: Layer, batch: Moments | None) -> None:
    """Let the running statistics of ``layer`` see one more batch, or its pool, where it has one.

    First ``num_batches_tracked ← num_batches_tracked + 1``, then, for the mean and the unbiased variance m/(m − 1)·σ²,

        running ← (1 − momentum)·running + momentum·batch

    where a ``momentum`` of None stands for 1/(num_batches_tracked − skipped), which makes ``running`` the plain average
    over the batches that were finite, and for 0 where the layer has no such counter. A channel whose moments are not
    finite keeps its statistics, and ``skipped`` counts it. Where fewer than two values count, which have no unbiased
    variance, nothing changes. A batch of None, without any values, only moves ``num_batches_tracked``, as in torch.
    Buffers change in place; nothing waits for a value on another device.
    """
    batches, mean, var = layer.num_batches_tracked, layer.running_mean, layer.running_var
    if batch is None or mean is None or var is None:
        if batches is not None and layer._pool is None:
            batches.add_(1)
        return
    if layer._pool is not None:
        layer._pool = moments.merge(layer._pool, batch)
        return
    if layer.skipped is not None and layer.skipped.shape != mean.shape:  # of a layer that was made smaller
        layer._forget_skipped()
    kernels = triton if batch.mean.is_cuda and registry.wants_triton() else cpu
    if registry.is_plain(*batch) and kernels.can_update(mean, var, batches, layer.skipped, batch.mean):
        kernels.update(mean, var, batches, layer.skipped, batch.mean, batch.var, batch.count, layer.momentum)
    else:
        _update(layer, mean, var, batch)


def _update(layer: Layer, running_mean: Tensor, running_var: Tensor, batch: Moments) -> None:
    """The same in plain torch."""
    pairs = ((running_mean, batch.mean), (running_var, moments.unbiased(batch.var, batch.count)))
    enough, finite = batch.count > 1, moments.are_finite(*(value.to(running.dtype) for running, value in pairs))
    if layer.num_batches_tracked is not None:
        layer.num_batches_tracked.add_(enough.any())
    if layer.skipped is not None:
        layer.skipped.add_(enough & ~finite)
    momentum = _weight(layer, batch.mean)
    for running, value in pairs:
        new = moments.running(running.to(value.dtype), value, momentum)
        running.copy_(torch.where(enough & finite, new, running))


def _weight(layer: Layer, like: Tensor) -> float | Tensor:
    """The weight of this batch: a tensor where it may differ between calls of what is compiled."""
    batches, skipped = layer.num_batches_tracked, layer.skipped
    if torch.compiler.is_compiling() and layer._momentum_tensor is not None:
        return layer._momentum_tensor  # on the CPU: a copy to another device would wait for that
    if layer.momentum is not None:
        return layer.momentum
    if batches is None:
        return 0.0
    return moments.cumulative_momentum(batches if skipped is None else batches - skipped, like.dtype)
