"""The functions that kernels are made of."""

from __future__ import annotations

import functools

from numba import njit

part = functools.partial(njit, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""``numba.njit`` for a function that only compiled functions may call: without the code that Python would call it by,
which takes its time to compile. Calling it from Python ends the process."""
