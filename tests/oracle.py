"""Batch normalization in float64 NumPy, written from the paper's formulas and sharing no code with the package.

Channels are on axis 1. The backward pass is the chain of the paper's section 3, one derivative per line, and not the
simplified formula of the package's documentation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# name: (function, derivative); enough to see that the order is transform, residual, activation.
ACTIVATIONS = {
    "identity": (lambda z: z, np.ones_like),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(float)),
    "leaky_relu:0.1": (lambda z: np.where(z > 0, z, 0.1 * z), lambda z: np.where(z > 0, 1, 0.1)),
    "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
}


@dataclass
class Forward:
    """The output, its derivatives' ingredients and the batch moments."""

    y: Array
    mean: Array
    var: Array
    count: int


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
    return np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])


def restore(values: Array, shape) -> Array:
    """(values, C) to (N, C, ...)."""
    moved = (shape[0], *shape[2:], shape[1])
    return np.moveaxis(values.reshape(moved), -1, 1)


def forward(x, weight, bias, eps, residual=None, activation="identity") -> Forward:
    x = np.asarray(x, dtype=np.float64)
    u = columns(x)
    mean = u.mean(axis=0)
    var = np.mean((u - mean) ** 2, axis=0)
    z = (u - mean) / np.sqrt(var + eps) * np.asarray(weight, np.float64) + np.asarray(bias, np.float64)
    if residual is not None:
        z = z + columns(residual)
    return Forward(restore(ACTIVATIONS[activation][0](z), x.shape), mean, var, len(u))


def backward(grad_y, x, weight, bias, eps, residual=None, activation="identity") -> Gradients:
    x = np.asarray(x, dtype=np.float64)
    u, weight, bias = columns(x), np.asarray(weight, np.float64), np.asarray(bias, np.float64)
    m, mean = len(u), u.mean(axis=0)
    centred = u - mean
    var = np.mean(centred**2, axis=0)
    normalized = centred / np.sqrt(var + eps)
    z = normalized * weight + bias + (0 if residual is None else columns(residual))
    d_z = columns(grad_y) * ACTIVATIONS[activation][1](z)
    d_normalized = d_z * weight
    d_var = np.sum(d_normalized * centred, axis=0) * -0.5 * (var + eps) ** -1.5
    d_mean = np.sum(d_normalized, axis=0) * -1 / np.sqrt(var + eps) + d_var * np.sum(-2 * centred, axis=0) / m
    d_x = d_normalized / np.sqrt(var + eps) + d_var * 2 * centred / m + d_mean / m
    return Gradients(
        restore(d_x, x.shape), np.sum(d_z * normalized, axis=0), np.sum(d_z, axis=0), restore(d_z, x.shape)
    )


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
