"""The kernel that moves running statistics by one batch: for small layers, one call instead of eight."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cfunc, njit, types

from normwise.ops.cpu.memory import load, pointer_to, real, store

(
    CHANNELS,
    CUMULATIVE,  # 1 where the momentum is 1 / batches
    MOMENTUM,  # a float64, bit by bit
    RUNNING_MEAN,
    RUNNING_VAR,
    MEAN,
    VAR,
    COUNT,
    BATCHES,  # an int64 that is counted up; 0 for none
) = range(9)


def build(dtype: str) -> Any:
    """The kernel for statistics of type ``dtype``, a ``numba.cfunc``."""
    at, batches_at = pointer_to(dtype), pointer_to("int64")
    number = np.dtype(dtype).type

    @njit(fastmath=False, error_model="numpy", forceinline=True)
    def step(job, running, c, batch, momentum):
        old = load(at(job[running]), c)
        store(at(job[running]), c, number((1.0 - momentum) * old + momentum * batch))

    @cfunc(types.void(types.CPointer(types.int64)), error_model="numpy")
    def kernel(job):
        momentum = real(job[MOMENTUM])
        if job[BATCHES] != 0:
            batches = batches_at(job[BATCHES])
            batches[0] += 1
            if job[CUMULATIVE] != 0:
                momentum = 1.0 / batches[0]
        for c in range(job[CHANNELS]):
            count = load(at(job[COUNT]), c)
            var = load(at(job[VAR]), c) * (count / max(count - 1.0, 1.0))
            step(job, RUNNING_MEAN, c, load(at(job[MEAN]), c), momentum)
            step(job, RUNNING_VAR, c, var, momentum)

    return kernel
