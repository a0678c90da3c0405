"""The one place where a layer's population moments change."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from normwise import moments
from normwise.moments import Moments
from normwise.ops import tracing
from normwise.ops.batch_norm import choice
from normwise.ops.batch_norm.implementations import KERNELS, Updater


class Updating(Protocol):
    """A layer whose running statistics may see its forwards."""

    training: bool
    track_running_stats: bool


class Tracking(Updating, Protocol):
    """A batch normalization with running statistics."""

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    skipped: Tensor | None
    _buffers: dict[str, Tensor | None]
    _pool: Tensor | None
    _momentum_tensor: Tensor | None
    _updater: Updater | None

    @property
    def momentum(self) -> float | None:
        """The weight of the newest batch, or None for 1/(num_batches_tracked − skipped)."""

    def _forget_skipped(self) -> None:
        """Count anew which batches were skipped."""


def should_update(layer: Updating) -> bool:
    """Whether this forward of ``layer`` is one that its running statistics should see.

    That is a forward in training, unless it runs within a ``torch.func`` transform or a backward: what runs there is a
    forward that ``torch.utils.checkpoint`` recomputes, whose first run was seen, or one that a backward hook asked
    for, which looks the same. While ``torch.compile`` traces, which recomputes operators and not forwards, every
    forward is seen.
    """
    return (
        layer.training
        and layer.track_running_stats
        and not tracing.is_transformed()
        and (torch.compiler.is_compiling() or not tracing.is_in_backward())
    )


def update(layer: Tracking, stats: Tensor | None, ordinary: bool) -> None:
    """Let the running statistics of ``layer`` see one more batch, or its pool, where it has one.

    First ``num_batches_tracked ← num_batches_tracked + 1``, then, for the mean and the unbiased variance m/(m − 1)·σ²,

        running ← (1 − momentum)·running + momentum·batch

    where a ``momentum`` of None stands for 1/(num_batches_tracked − skipped), which makes ``running`` the plain average
    over the batches that were finite, and for 0 where the layer has no such counter. A channel whose moments are not
    finite keeps its statistics, and ``skipped`` counts it. Where fewer than two values count, which have no unbiased
    variance, nothing changes. A batch of None, without any values, only moves ``num_batches_tracked``, as in torch.
    Buffers change in place; nothing waits for a value on another device.

    Args:
        layer: whose statistics.
        stats: mean, variance, what rounding took from the mean, and count of the batch, (4, C).
        ordinary: whether it came from ordinary tensors (``normwise.ops.tracing.is_ordinary``), for a kernel to take.
    """
    mean, var, batches, skipped = _buffers_of(layer, ordinary)
    if stats is None or mean is None or var is None:
        if batches is not None and layer._pool is None:
            batches.add_(1)
        return
    if layer._pool is not None:
        layer._pool = _merged(layer._pool, stats)
        return
    if skipped is not None and skipped.shape != mean.shape:  # of a layer that was made smaller
        layer._forget_skipped()
        skipped = layer.skipped
    if ordinary:
        known = layer._updater
        if known is None or not known.fits(mean, var, batches, skipped, stats):
            known = layer._updater = _updater(mean, var, batches, skipped, stats)
        if known is not None:
            known.update(stats, layer.momentum)
            return
    _update(layer, mean, var, stats)


def _buffers_of(layer: Tracking, ordinary: bool) -> tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
    """Running mean and variance, and the counters; of ordinary calls at once, as attributes of modules are slow."""
    buffers = layer._buffers
    try:
        if ordinary:
            return buffers["running_mean"], buffers["running_var"], buffers["num_batches_tracked"], buffers["skipped"]
    except KeyError:  # one is computed from others (torch.nn.utils.parametrize)
        pass
    return layer.running_mean, layer.running_var, layer.num_batches_tracked, layer.skipped


def _updater(
    mean: Tensor, var: Tensor, batches: Tensor | None, skipped: Tensor | None, stats: Tensor
) -> Updater | None:
    if not tracing.is_ordinary(mean, var, batches, skipped):
        return None
    kernels = KERNELS["triton" if stats.is_cuda and choice.wants_triton() else "cpu"]
    return kernels.updater(mean, var, batches, skipped, stats)


def _merged(pool: Tensor, stats: Tensor) -> Tensor:
    """The statistics of two batches as those of one."""
    a, b = (Moments(count, mean, var) for mean, var, _, count in (pool.unbind(), stats.unbind()))
    count, mean, var = moments.merge(a, b)
    return torch.stack([mean, var, torch.zeros_like(mean), count])


def _update(layer: Tracking, running_mean: Tensor, running_var: Tensor, stats: Tensor) -> None:
    """The same in plain torch."""
    mean, var, _, count = stats.unbind()
    pairs = ((running_mean, mean), (running_var, moments.unbiased(var, count)))
    enough, finite = count > 1, moments.are_finite(*(value.to(running.dtype) for running, value in pairs))
    if layer.num_batches_tracked is not None:
        layer.num_batches_tracked.add_(enough.any())
    if layer.skipped is not None:
        layer.skipped.add_(enough & ~finite)
    momentum = _weight(layer, mean.dtype)
    for running, value in pairs:
        new = moments.running(running.to(value.dtype), value, momentum)
        running.copy_(torch.where(enough & finite, new, running))


def _weight(layer: Tracking, dtype: torch.dtype) -> float | Tensor:
    """The weight of this batch: a tensor where it may differ between calls of what is compiled."""
    batches, skipped = layer.num_batches_tracked, layer.skipped
    if torch.compiler.is_compiling() and layer._momentum_tensor is not None:
        return layer._momentum_tensor  # on the CPU: a copy to another device would wait for that
    if layer.momentum is not None:
        return layer.momentum
    if batches is None:
        return 0.0
    return moments.cumulative_momentum(batches if skipped is None else batches - skipped, dtype)
