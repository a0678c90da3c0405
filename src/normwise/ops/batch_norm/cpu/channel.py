"""What kernels compute once per channel, in float64: coefficients, finished moments, finished gradients.

Indices: c the channel, k = group·channels + c its statistics.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from normwise.ops.batch_norm.cpu.job import (
    BIAS,
    COUNT,
    EPS,
    GRAD_BIAS,
    GRAD_WEIGHT,
    LOW,
    MEAN,
    TRAINING,
    VAR,
    WEIGHT,
)
from normwise.ops.cpu.memory import load, pointer_to, real, store
from normwise.ops.cpu.part import part


class Channel(NamedTuple):
    """The functions of one accumulator type, for kernels to call."""

    coefficients: Any
    gradient_coefficients: Any
    finish_moments: Any
    finish_gradients: Any
    merge: Any


@functools.cache
def channel(accumulator: str) -> Channel:
    """The per-channel functions for statistics of type ``accumulator``."""
    number = np.dtype(accumulator).type
    at = pointer_to(accumulator)

    @part(fastmath=False)
    def inverse_and_low(job, k):
        """The inverse standard deviation, and what rounding took from the mean."""
        inverse = 1.0 / np.sqrt(np.float64(load(at(job[VAR]), k)) + real(job[EPS]))
        low = 0.0
        if job[LOW] != 0:
            low = np.float64(load(at(job[LOW]), k))
        return inverse, low

    @part(fastmath=False)
    def scaled(job, inverse, c):
        return inverse * load(at(job[WEIGHT]), c) if job[WEIGHT] != 0 else inverse

    @part(fastmath=False)
    def coefficients(job, k, c):
        """The mean, scale and shift of z = (x − mean)·scale + shift."""
        inverse, low = inverse_and_low(job, k)
        scale = scaled(job, inverse, c)
        shift = -low * scale
        if job[BIAS] != 0:
            shift += load(at(job[BIAS]), c)
        return load(at(job[MEAN]), k), number(scale), number(shift)

    @part(fastmath=False)
    def gradient_coefficients(job, k, c):
        """What makes the gradient of x: g·by_gradient + (x − mean)·by_input + constant."""
        inverse, low = inverse_and_low(job, k)
        scale = scaled(job, inverse, c)
        if job[TRAINING] == 0:
            return number(scale), number(0), number(0)
        count = np.float64(load(at(job[COUNT]), k))
        if count <= 1.0:
            return number(0), number(0), number(0)
        by_input = -scale * inverse * load(at(job[GRAD_WEIGHT]), k) / count
        constant = -scale * load(at(job[GRAD_BIAS]), k) / count - by_input * low
        return number(scale), number(by_input), number(constant)

    @part(fastmath=False)
    def finish_moments(job, k, count, mean, squares):
        """Write the moments; ``squares`` is the sum of squared deviations."""
        rounded = number(mean)
        store(at(job[MEAN]), k, rounded)
        store(at(job[LOW]), k, number(mean - rounded))
        store(at(job[VAR]), k, number(squares / max(count, 1.0)))
        store(at(job[COUNT]), k, number(count))

    @part(fastmath=False)
    def finish_gradients(job, k, sum_g, sum_gx):
        """Write the gradients of γ and β, from the sums of g and of g·(x − rounded mean)."""
        inverse, low = inverse_and_low(job, k)
        store(at(job[GRAD_WEIGHT]), k, number((sum_gx - low * sum_g) * inverse))
        store(at(job[GRAD_BIAS]), k, number(sum_g))

    return Channel(coefficients, gradient_coefficients, finish_moments, finish_gradients, merge)


@part(fastmath=False)
def merge(count, mean, squares, more, more_mean, more_squares):
    """The moments of two sets together (Chan, Golub & LeVeque 1983); the second one may be empty."""
    total = max(count + more, 1.0)
    delta = more_mean - mean
    share = more / total
    return count + more, mean + delta * share, squares + more_squares + delta * delta * (count * share)
