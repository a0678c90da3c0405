"""Batch normalization in float64 NumPy, written from the paper's formulas and sharing no code with the package.

Channels are on axis 1. The backward pass is the chain of the paper's section 3, one derivative per line, and not the
simplified formula of the package's documentation. Groups are a loop, and what a mask hides is taken out of the batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def _logistic(z):
    return np.exp(-np.logaddexp(0, -z))


_erfc = np.frompyfunc(math.erfc, 1, 1)


def _normal(z):
    """The distribution function of the normal distribution."""
    return np.asarray(0.5 * _erfc(-np.asarray(z, np.float64) / math.sqrt(2)), np.float64)


def _density(z):
    return np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)


def _inner(z):
    """What GELU's tanh approximation takes the tanh of."""
    return np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)


def _sech(z):
    return 1 / np.cosh(np.clip(z, -300, 300))


def _gelu_tanh_derivative(z):
    return _logistic(2 * _inner(z)) + 0.5 * z * _sech(_inner(z)) ** 2 * np.sqrt(2 / np.pi) * (1 + 0.134145 * z**2)


def _mish_derivative(z):
    softplus = np.logaddexp(0, z)
    return np.tanh(softplus) + z * _logistic(z) * _sech(softplus) ** 2


# specification: (function, derivative)
ACTIVATIONS = {
    "identity": (lambda z: z, np.ones_like),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(float)),
    "leaky_relu:0.1": (lambda z: np.where(z > 0, z, 0.1 * z), lambda z: np.where(z > 0, 1, 0.1)),
    "relu6": (lambda z: np.clip(z, 0, 6), lambda z: ((z > 0) & (z < 6)).astype(float)),
    "elu:1.5": (
        lambda z: np.where(z > 0, z, 1.5 * np.expm1(np.minimum(z, 0))),
        lambda z: np.where(z > 0, 1, 1.5 * np.exp(np.minimum(z, 0))),
    ),
    "silu": (
        lambda z: z * _logistic(z),
        lambda z: _logistic(z) * (1 + z * _logistic(-z)),
    ),
    "gelu": (lambda z: z * _normal(z), lambda z: _normal(z) + z * _density(z)),
    "gelu_tanh": (lambda z: z * _logistic(2 * _inner(z)), _gelu_tanh_derivative),
    "sigmoid": (_logistic, lambda z: _logistic(z) * _logistic(-z)),
    "tanh": (np.tanh, lambda z: _sech(z) ** 2),
    "hardswish": (
        lambda z: z * np.clip(z + 3, 0, 6) / 6,
        lambda z: np.where(z <= -3, 0, np.where(z < 3, z / 3 + 0.5, 1)),
    ),
    "mish": (lambda z: z * np.tanh(np.logaddexp(0, z)), _mish_derivative),
}

# Where a derivative jumps: there the smallest error in z changes the gradient by the height of the jump.
KINKS = {
    "relu": (0.0,),
    "leaky_relu:0.1": (0.0,),
    "relu6": (0.0, 6.0),
    "elu:1.5": (0.0,),
    "hardswish": (-3.0, 3.0),
}


@dataclass
class Forward:
    """The output, the pre-activation, and the batch moments: of shape (C,), or (groups, C) for several groups."""

    y: Array
    z: Array
    mean: Array
    var: Array
    count: Array


@dataclass
class Gradients:
    """What the loss gives back to each input."""

    x: Array
    weight: Array
    bias: Array
    residual: Array


def columns(x) -> Array:
    """(N, C, ...) to (values, C)."""
    x = np.asarray(x, dtype=np.float64)
    return np.moveaxis(x, 1, -1).reshape(math.prod((len(x), *x.shape[2:])), x.shape[1])


def restore(values: Array, shape) -> Array:
    """(values, C) to (N, C, ...)."""
    moved = (shape[0], *shape[2:], shape[1])
    return np.moveaxis(values.reshape(moved), -1, 1)


def total(values: Array) -> Array:
    """The sum of each column; NumPy adds in pairs, without the error of a running sum, along contiguous axes only."""
    return np.ascontiguousarray(values.T).sum(axis=-1)


def batches(x, mask, groups) -> list[NDArray[np.int64]]:
    """For each group the rows of ``columns(x)`` that count. ``mask`` has the shape of x without its channels."""
    rows = len(columns(x))
    counted = np.arange(rows) if mask is None else np.flatnonzero(np.asarray(mask))
    return [counted[counted * groups // max(rows, 1) == k] for k in range(groups)]


def forward(x, weight, bias, eps, residual=None, activation="identity", mask=None, groups=1) -> Forward:
    x = np.asarray(x, dtype=np.float64)
    u, z, y = columns(x), np.zeros_like(columns(x)), np.zeros_like(columns(x))
    moments = []
    for rows in batches(x, mask, groups):
        m = len(rows)
        mean = total(u[rows]) / max(m, 1)
        var = total((u[rows] - mean) ** 2) / max(m, 1)
        z[rows] = (u[rows] - mean) / np.sqrt(var + eps) * np.asarray(weight, np.float64) + np.asarray(bias, np.float64)
        if residual is not None:
            z[rows] += columns(residual)[rows]
        y[rows] = ACTIVATIONS[activation][0](z[rows])
        moments.append((mean, var, np.full(mean.shape, float(m))))
    stacked = [np.stack(values) if groups > 1 else values[0] for values in zip(*moments, strict=True)]
    return Forward(restore(y, x.shape), restore(z, x.shape), *stacked)


def backward(
    grad_y, x, weight, bias, eps, residual=None, activation="identity", mask=None, groups=1, moments=None
) -> Gradients:
    """``moments``, a pair of mean and variance of each channel, are constants that replace the batch's own."""
    x = np.asarray(x, dtype=np.float64)
    u, weight, bias = columns(x), np.asarray(weight, np.float64), np.asarray(bias, np.float64)
    d_x, d_residual = np.zeros_like(u), np.zeros_like(u)
    d_weight, d_bias = np.zeros(u.shape[1]), np.zeros(u.shape[1])
    for rows in batches(x, mask, groups):
        m = max(len(rows), 1)
        mean = total(u[rows]) / m if moments is None else moments[0]
        centred = u[rows] - mean
        var = total(centred**2) / m if moments is None else moments[1]
        normalized = centred / np.sqrt(var + eps)
        z = normalized * weight + bias + (0 if residual is None else columns(residual)[rows])
        d_z = columns(grad_y)[rows] * ACTIVATIONS[activation][1](z)
        d_normalized = d_z * weight
        d_x[rows] = d_normalized / np.sqrt(var + eps)
        if moments is None:
            d_var = total(d_normalized * centred) * -0.5 * (var + eps) ** -1.5
            d_mean = total(d_normalized) * -1 / np.sqrt(var + eps) + d_var * total(-2 * centred) / m
            d_x[rows] += d_var * 2 * centred / m + d_mean / m
        d_residual[rows] = d_z
        d_weight += total(d_z * normalized)
        d_bias += total(d_z)
    return Gradients(restore(d_x, x.shape), d_weight, d_bias, restore(d_residual, x.shape))


def evaluate(x, mean, var, weight, bias, eps, residual=None, activation="identity") -> Array:
    """The transform with given moments."""
    normalized = (columns(x) - np.asarray(mean, np.float64)) / np.sqrt(np.asarray(var, np.float64) + eps)
    z = normalized * np.asarray(weight, np.float64) + np.asarray(bias, np.float64)
    z = z if residual is None else z + columns(residual)
    return restore(ACTIVATIONS[activation][0](z), np.shape(x))


class Running:
    """Running statistics: an average with a fixed momentum, or over all batches where ``momentum`` is None."""

    def __init__(self, channels: int, momentum: float | None) -> None:
        self.mean, self.var, self.momentum, self.batches = np.zeros(channels), np.ones(channels), momentum, 0

    def update(self, x) -> None:
        u = columns(x)
        self.batches += 1
        share = 1 / self.batches if self.momentum is None else self.momentum
        self.mean = (1 - share) * self.mean + share * u.mean(axis=0)
        self.var = (1 - share) * self.var + share * u.var(axis=0, ddof=1)
