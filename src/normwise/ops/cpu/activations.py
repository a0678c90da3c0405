"""The activations and their derivatives at one number, for kernels to fuse.

Errors in float32, largest over 1.4 million numbers of every size, against float64 (the tests hold these figures):

=========== ================== ================== ==================================================
name        forward, absolute  slope, absolute    forward, relative
=========== ================== ================== ==================================================
elu         5e-8               6e-8               9e-8
silu        1.3e-7             2e-7               1.9e-7 for z > −87
gelu        1e-7               2.3e-7             4.5e-7 + 8e-8·z² for z > −13
gelu_tanh   1.6e-7             2.3e-7             3e-7 for z > −1
sigmoid     1e-7               6e-8               1.6e-7 for z > −87
tanh        1.6e-7             2.4e-7             1.8e-7
hardswish   1.8e-7             1e-7               1.9e-7
mish        1.6e-7             2.6e-7             3.2e-7 for z > −87
=========== ================== ================== ==================================================

"Absolute" is |error| / max(1, |value|); the other four are exact or one product. The figures need fused multiply-add,
which x86 has since 2013 and ARM64 always. Below 1.2e-38, the least normal number, a value may come out as 0. float64
uses the C library: a few units in the last place.

NaN gives NaN. At a kink the derivative is that of torch's backward. At ±∞ the results are torch's, except that the
limit may stand where torch has NaN. A finite z always gives a finite derivative.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numba import njit

from normwise.ops.cpu.elementary import EXACT, at_least, at_most, decay, exp, expm1, normal_tail
from normwise.ops.cpu.intrinsics import fma, like

_GELU_RATE, _GELU_CUBE = 2 * math.sqrt(2 / math.pi), 0.044715  # gelu_tanh is z·sigmoid(rate·(z + cube·z³))
_DENSITY = 1 / math.sqrt(2 * math.pi)
_GELU_FAR, _MISH_FAR = 50.0, 40.0  # from here on they have reached their limits, in float64 too


@functools.cache
def functions(name: str, single: bool) -> tuple[Any, Any]:
    """An activation and its derivative, ``forward(z, p)`` and ``derivative(z, p)``, for numba code to call.

    Args:
        name: one of ``normwise.ops.ACTIVATIONS``.
        single: compute in float32, else in float64, whatever type the arguments have.

    ``p`` is the activation's parameter, leaky_relu's negative_slope or elu's alpha; the others ignore it.
    """
    forward, derivative = _TABLE[name]
    number = np.float32 if single else np.float64
    return _in(number, forward), _in(number, derivative)


def _in(number: Any, function: Any) -> Any:
    inner = njit(**EXACT)(function)

    @njit(**EXACT)
    def converted(z: Any, p: Any) -> Any:
        return number(inner(number(z), number(p)))

    return converted


@njit(**EXACT)
def _between(z: Any, low: Any, high: Any) -> Any:
    return at_most(at_least(z, low), high)


@njit(**EXACT)
def _sigmoid_both(z: Any) -> Any:
    """sigmoid(z) and its derivative, both to full relative accuracy."""
    e = decay(-abs(z))
    large = like(z, 1) / (like(z, 1) + e)
    small = e * large
    return (small if z < like(z, 0) else large), small * large


def _identity(z: Any, p: Any) -> Any:
    return z


def _identity_slope(z: Any, p: Any) -> Any:
    return like(z, 1)


def _relu(z: Any, p: Any) -> Any:
    return at_least(z, 0)


def _relu_slope(z: Any, p: Any) -> Any:
    return like(z, 0) if z <= like(z, 0) else like(z, 1)


def _leaky_relu(z: Any, p: Any) -> Any:
    return z if z > like(z, 0) else z * p


def _leaky_relu_slope(z: Any, p: Any) -> Any:
    return like(z, 1) if z > like(z, 0) else p


def _relu6(z: Any, p: Any) -> Any:
    return _between(z, 0, 6)


def _relu6_slope(z: Any, p: Any) -> Any:
    return like(z, 0) if z <= like(z, 0) or z >= like(z, 6) else like(z, 1)


def _elu(z: Any, p: Any) -> Any:
    return z if z > like(z, 0) else p * expm1(z)


def _elu_slope(z: Any, p: Any) -> Any:
    return like(z, 1) if z > like(z, 0) else p * exp(z)


def _silu(z: Any, p: Any) -> Any:
    return z / (like(z, 1) + exp(-z))


def _silu_slope(z: Any, p: Any) -> Any:
    s, slope = _sigmoid_both(z)
    return fma(z, slope, s)


def _gelu(z: Any, p: Any) -> Any:
    size = at_most(abs(z), _GELU_FAR)
    tail, _ = normal_tail(size)
    return fma(-size, tail, at_least(z, 0))


def _gelu_slope(z: Any, p: Any) -> Any:
    tail, bell = normal_tail(abs(z))
    below = tail if z < like(z, 0) else like(z, 1) - tail
    return fma(z * like(z, _DENSITY), bell, below)


def _gelu_tanh(z: Any, p: Any) -> Any:
    rate = like(z, -_GELU_RATE) * fma(z * z, _GELU_CUBE, 1)
    return z / (like(z, 1) + exp(rate * z))


def _gelu_tanh_slope(z: Any, p: Any) -> Any:
    z = _between(z, -_GELU_FAR, _GELU_FAR)
    square = z * z
    s, slope = _sigmoid_both(like(z, _GELU_RATE) * z * fma(square, _GELU_CUBE, 1))
    return fma(slope * z, like(z, _GELU_RATE) * fma(square, 3 * _GELU_CUBE, 1), s)


def _sigmoid(z: Any, p: Any) -> Any:
    return like(z, 1) / (like(z, 1) + exp(-z))


def _sigmoid_slope(z: Any, p: Any) -> Any:
    _, slope = _sigmoid_both(z)
    return slope


def _tanh(z: Any, p: Any) -> Any:
    m = expm1(like(z, -2) * abs(z))
    size = m / (like(z, 2) + m)
    return size if z < like(z, 0) else -size


def _tanh_slope(z: Any, p: Any) -> Any:
    _, slope = _sigmoid_both(like(z, 2) * z)
    return like(z, 4) * slope


def _hardswish(z: Any, p: Any) -> Any:
    return z * (_between(z + like(z, 3), 0, 6) * like(z, 1 / 6))


def _hardswish_slope(z: Any, p: Any) -> Any:
    middle = fma(z, 1 / 3, 0.5) if z < like(z, 3) else like(z, 1)
    return like(z, 0) if z <= like(z, -3) else middle


def _mish(z: Any, p: Any) -> Any:
    e = decay(at_most(z, _MISH_FAR))
    n = e * (e + like(z, 2))
    return z * (n / (n + like(z, 2)))


def _mish_slope(z: Any, p: Any) -> Any:
    z = at_most(z, _MISH_FAR)
    e, one = decay(z), like(z, 1)
    n = e * (e + like(z, 2))
    w = one / (n + like(z, 2))
    return w * fma(z * w, like(z, 4) * e * (e + one), n)


_TABLE = {
    "identity": (_identity, _identity_slope),
    "relu": (_relu, _relu_slope),
    "leaky_relu": (_leaky_relu, _leaky_relu_slope),
    "relu6": (_relu6, _relu6_slope),
    "elu": (_elu, _elu_slope),
    "silu": (_silu, _silu_slope),
    "gelu": (_gelu, _gelu_slope),
    "gelu_tanh": (_gelu_tanh, _gelu_tanh_slope),
    "sigmoid": (_sigmoid, _sigmoid_slope),
    "tanh": (_tanh, _tanh_slope),
    "hardswish": (_hardswish, _hardswish_slope),
    "mish": (_mish, _mish_slope),
}
