"""The kernel that moves running statistics by one batch: for small layers, one call instead of eight."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cfunc, types

from normwise.ops.batch_norm.cpu.job import (
    BATCH_COUNT,
    BATCH_MEAN,
    BATCH_VAR,
    BATCHES,
    CUMULATIVE,
    MOMENTUM,
    RUNNING_MEAN,
    RUNNING_VAR,
    SIZE,
    SKIPPED,
)
from normwise.ops.cpu.memory import load, pointer_to, real, store
from normwise.ops.cpu.part import part


def build(dtype: str) -> Any:
    """The kernel for statistics of type ``dtype``, a ``numba.cfunc``."""
    at, integers_at = pointer_to(dtype), pointer_to("int64")
    number = np.dtype(dtype).type

    @part(fastmath=False, forceinline=True)
    def step(job, running, c, batch, momentum):
        old = load(at(job[running]), c)
        store(at(job[running]), c, number((1.0 - momentum) * old + momentum * batch))

    @part(fastmath=False, forceinline=True)
    def weight(job, batches, skipped):
        if job[CUMULATIVE] == 0:
            return real(job[MOMENTUM])
        return 1.0 / max(batches - skipped, 1)

    @cfunc(types.void(types.CPointer(types.int64)), error_model="numpy")
    def kernel(job):
        batches = 0
        enough = job[SIZE] == 0 or load(at(job[BATCH_COUNT]), 0) > 1.0  # in all channels alike
        if not enough:
            return
        if job[BATCHES] != 0:
            integers_at(job[BATCHES])[0] += 1
            batches = integers_at(job[BATCHES])[0]
        for c in range(job[SIZE]):
            mean, var, skipped = load(at(job[BATCH_MEAN]), c), load(at(job[BATCH_VAR]), c), 0
            count = load(at(job[BATCH_COUNT]), c)
            var = number(var * (count / (count - 1.0)))
            finite = np.isfinite(mean) and np.isfinite(var)
            if job[SKIPPED] != 0:
                if not finite:
                    integers_at(job[SKIPPED])[c] += 1
                skipped = integers_at(job[SKIPPED])[c]
            if finite:
                momentum = weight(job, batches, skipped)
                step(job, RUNNING_MEAN, c, mean, momentum)
                step(job, RUNNING_VAR, c, var, momentum)

    return kernel
