"""Moving running statistics by one batch with a kernel: one call instead of eight operations of torch."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from normwise.ops.batch_norm.cpu.job import (
    BATCH_COUNT,
    BATCH_MEAN,
    BATCH_VAR,
    BATCHES,
    CUMULATIVE,
    MOMENTUM,
    RUNNING_MEAN,
    RUNNING_VAR,
    RUNNING_WORDS,
    SIZE,
    SKIPPED,
)
from normwise.ops.batch_norm.cpu.work import bits, compile_update
from normwise.ops.cpu import threads

_Job = ctypes.c_int64 * RUNNING_WORDS


class Updater:
    """Updates the same statistics batch after batch: a job that lacks the batch's addresses and the momentum.

    Args:
        mean: running mean, as ``updater`` has checked it.
        var: running variance.
        batches: the counter of batches, or None.
        skipped: the counters of batches that were not finite, or None.
        dtype: of the statistics of the batches.
    """

    def __init__(
        self, mean: Tensor, var: Tensor, batches: Tensor | None, skipped: Tensor | None, dtype: torch.dtype
    ) -> None:
        self._tensors, self._dtype, self._shape = (mean, var, batches, skipped), dtype, mean.shape
        self._changed = [tensor for tensor in self._tensors if tensor is not None]
        self._pointers = [0 if tensor is None else tensor.data_ptr() for tensor in self._tensors]
        self._kernel = compile_update(dtype)
        job = [0] * RUNNING_WORDS
        job[SIZE] = mean.shape[0]
        job[RUNNING_MEAN], job[RUNNING_VAR], job[BATCHES], job[SKIPPED] = self._pointers
        self._job, self._step = _Job(*job), mean.shape[0] * mean.element_size()

    def fits(self, mean: Tensor, var: Tensor, batches: Tensor | None, skipped: Tensor | None, stats: Tensor) -> bool:
        """Whether these are the very tensors, where they were, and a batch's statistics like those before."""
        a, b, c, d = self._tensors
        return (
            mean is a
            and var is b
            and batches is c
            and skipped is d
            and stats.dtype is self._dtype
            and stats.shape[1:] == mean.shape == var.shape == self._shape
            and mean.is_contiguous()
            and var.is_contiguous()
            and (skipped is None or (skipped.shape == self._shape and skipped.is_contiguous()))
            and mean.data_ptr() == self._pointers[0]
            and var.data_ptr() == self._pointers[1]
            and (batches is None or batches.data_ptr() == self._pointers[2])
            and (skipped is None or skipped.data_ptr() == self._pointers[3])
        )

    def update(self, stats: Tensor, momentum: float | None) -> None:
        """Move the statistics by a batch, in place; see ``normwise.nn.statistics.update`` for the equations."""
        job = _Job.from_buffer_copy(self._job)
        first = stats.data_ptr()
        job[BATCH_MEAN], job[BATCH_VAR], job[BATCH_COUNT] = first, first + self._step, first + 3 * self._step
        if momentum is None:
            job[CUMULATIVE] = job[BATCHES] != 0
        else:
            job[MOMENTUM] = bits(momentum)
        threads.run(self._kernel, job, 1)
        torch.autograd.graph.increment_version(self._changed)


def updater(mean: Tensor, var: Tensor, batches: Tensor | None, skipped: Tensor | None, stats: Tensor) -> Updater | None:
    """What moves these statistics by batches like ``stats``: float32 or float64 side by side in the CPU's memory.

    None where they are something else. All tensors are ordinary ones.
    """
    dtype, shape = stats.dtype, stats.shape[1:]
    if len(shape) != 1 or dtype not in (torch.float32, torch.float64) or not stats.is_contiguous():
        return None
    counters = [counter for counter in (batches, skipped) if counter is not None]
    fits = (
        all(t.dtype is dtype and t.shape == shape for t in (mean, var))
        and all(t.dtype is torch.int64 for t in counters)
        and (skipped is None or skipped.shape == shape)
        and all(t.is_cpu and t.is_contiguous() for t in (stats, mean, var, *counters))
    )
    return Updater(mean, var, batches, skipped, dtype) if fits else None
