"""The activations and their derivatives on tiles, in float32, for kernels to fuse.

Formulas take exponentials of −|z| only, so that nothing overflows. NaN gives NaN; at a kink the derivative is that of
torch's backward. ``p`` is the activation's parameter, leaky_relu's negative_slope or elu's alpha; the others ignore it.
"""

from __future__ import annotations

import triton
import triton.language as tl

FAR = tl.constexpr(20.0)  # from here on mish has reached its limit, in float32
ROOT_HALF = tl.constexpr(0.7071067811865476)
DENSITY = tl.constexpr(0.3989422804014327)  # 1/√(2π)
RATE = tl.constexpr(1.5957691216057308)  # gelu_tanh is z·sigmoid(RATE·(z + CUBE·z³))
CUBE = tl.constexpr(0.044715)


@triton.jit
def _sigmoid(z):
    e = tl.exp(-tl.abs(z))
    large = 1.0 / (1.0 + e)
    return tl.where(z < 0, e * large, large)


@triton.jit
def _sigmoid_slope(z):
    e = tl.exp(-tl.abs(z))
    large = 1.0 / (1.0 + e)
    return e * large * large


@triton.jit
def _expm1(z):
    """e^z − 1 for z ≤ 0; by its series near 0, where the difference would cancel."""
    z = tl.where(z > 0, 0.0, z)
    series = z * (1.0 + z * (1 / 2 + z * (1 / 6 + z * (1 / 24 + z * (1 / 120)))))
    return tl.where(z > -0.125, series, tl.exp(z) - 1.0)


@triton.jit
def _tanh(z):
    """By its series near 0, where the quotient would cancel."""
    square = z * z
    e = tl.exp(-2.0 * tl.abs(z))
    size = (1.0 - e) / (1.0 + e)
    series = z * (1.0 + square * (-1 / 3 + square * (2 / 15 - square * (17 / 315))))
    return tl.where(square < 0.04, series, tl.where(z < 0, -size, size))


@triton.jit
def _softplus_ratio(z):
    """e^z, and n and n + 2 with n = e^z·(e^z + 2), for z ≤ FAR: tanh(softplus(z)) is their quotient."""
    e = tl.exp(z)
    n = e * (e + 2.0)
    return e, n, n + 2.0


@triton.jit
def activate(z, p, NAME: tl.constexpr):
    """f(z)."""
    if NAME == "relu":
        y = tl.where(z < 0, 0.0, z)
    elif NAME == "leaky_relu":
        y = tl.where(z > 0, z, z * p)
    elif NAME == "relu6":
        y = tl.where(z < 0, 0.0, tl.where(z > 6, 6.0, z))
    elif NAME == "elu":
        y = tl.where(z > 0, z, p * _expm1(z))
    elif NAME == "silu":
        y = z * _sigmoid(z)
    elif NAME == "gelu":
        y = 0.5 * z * (1.0 + tl.erf(z * ROOT_HALF))
    elif NAME == "gelu_tanh":
        y = z * _sigmoid(z * RATE * (z * z * CUBE + 1.0))
    elif NAME == "sigmoid":
        y = _sigmoid(z)
    elif NAME == "tanh":
        y = _tanh(z)
    elif NAME == "hardswish":
        above = tl.where(z < -3, 0.0, z + 3.0)
        y = z * (tl.where(z > 3, 6.0, above) * (1 / 6))
    elif NAME == "mish":
        _, n, m = _softplus_ratio(tl.where(z > FAR, FAR, z))
        y = z * (n / m)
    else:
        tl.static_assert(NAME == "identity", "no such activation")
        y = z
    return y


@triton.jit
def slope(z, p, NAME: tl.constexpr):
    """f'(z)."""
    if NAME == "relu":
        d = tl.where(z <= 0, 0.0, 1.0)
    elif NAME == "leaky_relu":
        d = tl.where(z > 0, 1.0, p)
    elif NAME == "relu6":
        d = tl.where((z <= 0) | (z >= 6), 0.0, 1.0)
    elif NAME == "elu":
        d = tl.where(z > 0, 1.0, p * tl.exp(tl.where(z > 0, 0.0, z)))
    elif NAME == "silu":
        d = tl.fma(z, _sigmoid_slope(z), _sigmoid(z))
    elif NAME == "gelu":
        d = 0.5 * (1.0 + tl.erf(z * ROOT_HALF)) + z * DENSITY * tl.exp(-0.5 * z * z)
    elif NAME == "gelu_tanh":
        u = z * RATE * (z * z * CUBE + 1.0)
        d = tl.fma(_sigmoid_slope(u) * z, (z * z * (3 * CUBE) + 1.0) * RATE, _sigmoid(u))
    elif NAME == "sigmoid":
        d = _sigmoid_slope(z)
    elif NAME == "tanh":
        d = 4.0 * _sigmoid_slope(2.0 * z)
    elif NAME == "hardswish":
        d = tl.where(z <= -3, 0.0, tl.where(z < 3, z * (1 / 3) + 0.5, 1.0))
    elif NAME == "mish":
        z = tl.where(z > FAR, FAR, z)
        e, n, m = _softplus_ratio(z)
        w = 1.0 / m
        d = w * tl.fma(z * w, 4.0 * e * (e + 1.0), n)
    else:
        tl.static_assert(NAME == "identity", "no such activation")
        d = tl.full(z.shape, 1.0, tl.float32)
    return d
