"""exp, expm1 and the normal distribution for kernels: polynomials for float32, the C library for float64.

The argument's type chooses. The polynomials run in vector registers, and every addition and product is done as written:
the same bits come out in every kernel that a processor runs.

An exponential is 2^n times a polynomial in what is left; n = round(z / ln 2) is found by adding a large number, and the
constants are in two parts (Cody & Waite, Software Manual for the Elementary Functions, 1980, chapter 6). The upper tail
of the normal distribution is exp(−z²/2) times a polynomial in 1 / (1 + z·13/32), as in Abramowitz & Stegun 7.1.26. The
coefficients minimise the largest relative error (Remez): 1.5e-8 for 2^f, 2e-9 for expm1 and 1.1e-7 for the tail.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

from normwise.ops.cpu.intrinsics import bits_to_float32, float32_to_bits, fma, like

# Said in full because numba hands down what is left open: a kernel's fastmath must not reach the activation's bits.
EXACT = {"fastmath": False, "error_model": "numpy", "forceinline": True}

_LOG2_E = 1.4426950216293335  # log2(e) in float32, and what that leaves out
_LOG2_E_LOW = 1.9259629911e-8
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4  # the first has ten bits: its product with n is exact
_SHIFT = 1.5 * 2**23 + 127  # adding it leaves round(v) + 127, the exponent of 2^round(v), in the lowest bits
_LOWEST, _HIGHEST = -87.33, 88.5  # exp is 0 below the first, and infinite from 127.5·ln 2 = 88.38 on
_ROOT = math.sqrt(math.log2(math.e) / 2)  # exp(−z²/2) = 2^−(root·z)²
_FARTHEST = 13.2  # from here exp(−z²/2) is 0, where it would be no normal number


@njit(**EXACT)
def at_least(z: Any, low: Any) -> Any:
    """max(z, low); NaN stays."""
    bound = like(z, low)
    return bound if z < bound else z


@njit(**EXACT)
def at_most(z: Any, high: Any) -> Any:
    """min(z, high); NaN stays."""
    bound = like(z, high)
    return bound if z > bound else z


def exp(z: Any) -> Any:
    """e^z. In float32 it is 0 for z < −87.33, where no normal number is left, and infinite for z > 88.38."""
    raise NotImplementedError


def decay(z: Any) -> Any:
    """e^z for z ≤ 88; unspecified above."""
    raise NotImplementedError


def expm1(z: Any) -> Any:
    """e^z − 1 for z ≤ 0; unspecified above."""
    raise NotImplementedError


def normal_tail(z: Any) -> Any:
    """Φ(−z) and exp(−z²/2) for z ≥ 0. In float32 they are 0 for z > 13.2."""
    raise NotImplementedError


@njit(**EXACT)
def _power(f: Any, shifted: Any) -> Any:
    """2^(n + f), |f| ≤ 1/2, where ``shifted`` is n + _SHIFT; right for −126 ≤ n ≤ 127, and infinite for n = 128."""
    c = fma(f, 1.49955944e-4, 1.33836537e-3)
    c = fma(f, c, 9.61933564e-3)
    c = fma(f, c, 5.55037074e-2)
    c = fma(f, c, 2.40226448e-1)
    c = fma(f, c, 6.93147182e-1)
    return _binary(shifted) * fma(f, c, 1)


@njit(**EXACT)
def _binary(shifted: Any) -> Any:
    """2^n: the lowest bits of ``shifted``, moved to where a float32 has its exponent."""
    return bits_to_float32(np.int32(float32_to_bits(shifted) << 23))


def _exp(z: Any) -> Any:
    return decay(at_most(z, _HIGHEST))


def _decay(z: Any) -> Any:
    shifted = fma(z, _LOG2_E, _SHIFT)
    n = shifted - like(z, _SHIFT)
    f = fma(z, _LOG2_E_LOW, fma(z, _LOG2_E, -n))
    return like(z, 0) if z < like(z, _LOWEST) else _power(f, shifted)


def _expm1(z: Any) -> Any:
    z = at_least(z, -30)
    shifted = fma(z, _LOG2_E, _SHIFT)
    n = shifted - like(z, _SHIFT)
    r = fma(n, -_LN2_LOW, fma(n, -_LN2_HIGH, z))
    c = fma(r, 1.9420911e-4, 1.3929184e-3)
    c = fma(r, c, 8.3339336e-3)
    c = fma(r, c, 4.16665040e-2)
    c = fma(r, c, 1.66666651e-1)
    c = fma(r, c, 0.5)
    scale = _binary(shifted)
    return fma(scale, fma(r * r, c, r), scale - like(z, 1))


def _normal_tail(z: Any) -> Any:
    root = z * like(z, _ROOT)
    shifted = fma(-root, root, _SHIFT)
    n = shifted - like(z, _SHIFT)
    bell = _power(fma(-root, root, -n), shifted)
    bell = like(z, 0) if z > like(z, _FARTHEST) else bell
    t = like(z, 1) / fma(z, 0.40625, 1)
    c = fma(t, -0.041654665, 0.20391661)
    c = fma(t, c, -0.36336237)
    c = fma(t, c, 0.22350882)
    c = fma(t, c, 0.0015571897)
    c = fma(t, c, 0.15442954)
    c = fma(t, c, 0.15932477)
    c = fma(t, c, 0.16228725)
    c = fma(t, c, -7.1948945e-6)
    return c * bell, bell


def _exp_libm(z: Any) -> Any:
    return math.exp(z)


def _expm1_libm(z: Any) -> Any:
    return math.expm1(z)


def _normal_tail_libm(z: Any) -> Any:
    return 0.5 * math.erfc(z * math.sqrt(0.5)), math.exp(-0.5 * z * z)


@overload(exp, jit_options=EXACT)
def _choose_exp(z: Any) -> Any:
    return _exp if z == types.float32 else _exp_libm


@overload(decay, jit_options=EXACT)
def _choose_decay(z: Any) -> Any:
    return _decay if z == types.float32 else _exp_libm


@overload(expm1, jit_options=EXACT)
def _choose_expm1(z: Any) -> Any:
    return _expm1 if z == types.float32 else _expm1_libm


@overload(normal_tail, jit_options=EXACT)
def _choose_normal_tail(z: Any) -> Any:
    return _normal_tail if z == types.float32 else _normal_tail_libm
