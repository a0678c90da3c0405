"""Running a compiled kernel on torch's own threads.

A kernel is a C function of one pointer, the job. Every thread of a team calls it with the same job and takes one task
after another from the job's counter, so that the work spreads over whatever threads there are and no result depends on
their number.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import torch

_KERNEL = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
Team = Callable[[int, int, int], None]


def run(kernel: int, job: ctypes.Array[ctypes.c_int64], threads: int) -> None:
    """Call the kernel at address ``kernel`` with the 64-bit words of ``job`` on ``threads`` threads at once, and wait.

    The interpreter's lock is released meanwhile.
    """
    address = ctypes.addressof(job)
    if threads == 1:
        _function(kernel)(address)
    else:
        _team()(kernel, address, threads)


@functools.cache
def _function(kernel: int) -> Callable[[int], None]:
    return _KERNEL(kernel)


@functools.cache
def _team() -> Team:
    """How several threads are had: torch's OpenMP pool, where this torch has one, or a pool of our own.

    A second pool beside torch's would wait for cores on which torch's idle threads still spin.
    """
    return _openmp() or _own_pool


def _openmp() -> Team | None:
    """GOMP_parallel of the OpenMP runtime that torch has loaded; libgomp, libomp and Intel's library all have it."""
    for name in ("libtorch_cpu.so", "libtorch_cpu.dylib"):
        library = Path(torch.__file__).parent / "lib" / name
        if library.exists():
            parallel = getattr(ctypes.CDLL(str(library)), "GOMP_parallel", None)
            if parallel is not None:
                parallel.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
                parallel.restype = None
                return lambda kernel, job, threads: parallel(kernel, job, threads, 0)
    return None


def _own_pool(kernel: int, job: int, threads: int) -> None:
    """Returns, and raises, only when no thread reads the job any more: its memory is the caller's."""
    function = _function(kernel)
    helpers: list[Future[None]] = []
    try:
        for _ in range(threads - 1):
            helpers.append(_workers().submit(function, job))
        function(job)
    finally:
        wait(helpers)
    for helper in helpers:
        helper.result()


@functools.cache
def _workers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, (os.cpu_count() or 2) - 1), thread_name_prefix="normwise")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_workers.cache_clear)
