"""Kernels for inputs whose positions lie side by side: (N, C, S) with stride 1 along S.

A task is a strip of channels of one group, or, in the four parts, some of its examples. It is read in blocks that stay
in the first-level cache between the sum and the sum of squared deviations.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cfunc, njit, types

from normwise.ops.batch_norm.cpu.channel import channel
from normwise.ops.batch_norm.cpu.job import (
    BLOCK,
    BLOCKS,
    CHANNELS,
    DONE,
    INNER,
    MASK,
    NEXT,
    OUTER,
    PARAMETER,
    PARTIAL,
    STRIP,
    TASKS,
    D,
    G,
    Kind,
    R,
    X,
    Y,
)
from normwise.ops.cpu.activations import functions
from normwise.ops.cpu.intrinsics import fma
from normwise.ops.cpu.memory import count_up, load, pointer_to, real, scratch, store

STRIPS = 64  # channels of a task, at most
_CACHED = 4096  # elements of a block
SUM = {"reassoc", "contract", "nsz"}  # lets sums run in vector registers; products and activations stay as written


def build(kind: Kind) -> Any:
    """The kernel, a ``numba.cfunc``."""
    number = np.dtype(kind.accumulator).type
    zero = number(0)
    at, bytes_at, wide_at = pointer_to(kind.dtype), pointer_to("uint8"), pointer_to("float64")
    vector, wide_vector = scratch(kind.accumulator, STRIPS), scratch("float64", STRIPS)
    masked, residual = kind.masked, kind.residual
    forward_of, derivative_of = functions(kind.activation, kind.accumulator == "float32")
    chan = channel(kind.accumulator)
    coefficients, gradient_coefficients, merge = chan.coefficients, chan.gradient_coefficients, chan.merge
    finish_moments, finish_gradients = chan.finish_moments, chan.finish_gradients

    @njit(fastmath=SUM, error_model="numpy", forceinline=True)
    def differences(p, m, x, mask, length, pivot):
        """The number of values and Σ(x − pivot) of one run of positions."""
        total, kept = zero, 0
        for s in range(length):
            d = load(p, x + s) - pivot
            if masked:
                keep = load(m, mask + s) != 0
                d = d if keep else zero
                kept += keep
            total += d
        return (kept if masked else length), total

    @njit(fastmath=SUM, error_model="numpy", forceinline=True)
    def squared_differences(p, m, x, mask, length, centre):
        """Σ(x − centre)² of one run of positions."""
        total = zero
        for s in range(length):
            d = load(p, x + s) - centre
            if masked:
                d = d if load(m, mask + s) != 0 else zero
            total += d * d
        return total

    @njit(fastmath=False, error_model="numpy")
    def some_value(job, x, mask, length):
        """A value that counts, or zero where none does."""
        if not masked:
            return load(at(job[X]), x)
        for s in range(length):
            if load(bytes_at(job[MASK]), mask + s) != 0:
                return load(at(job[X]), x + s)
        return zero

    @njit(fastmath=False, error_model="numpy")
    def moments(job, x, mask, channels, examples, count, mean, squares):
        """Count, mean and sum of squared deviations of a strip of channels in some examples."""
        p, m = at(job[X]), bytes_at(job[MASK])
        inner, step, across = job[INNER], job[X + 2], job[X + 3]
        together = max(1, _CACHED // max(inner * channels, 1))
        pivot, kept, total, square = vector(), wide_vector(), wide_vector(), wide_vector()
        for c in range(channels):
            count[c], mean[c], squares[c] = 0.0, 0.0, 0.0
        for block in range((examples + together - 1) // together):
            n = block * together
            n_end = min(examples, n + together)
            for s in range(0, inner, _CACHED):
                length = min(_CACHED, inner - s)
                for c in range(channels):
                    first = some_value(job, x + c * across + n * step + s, mask + n * inner + s, length)
                    pivot[c], kept[c], total[c], square[c] = first, 0.0, 0.0, 0.0
                for i in range(n, n_end):
                    for c in range(channels):
                        place = x + c * across + i * step + s
                        k, some = differences(p, m, place, mask + i * inner + s, length, pivot[c])
                        kept[c] += k
                        total[c] += some
                for c in range(channels):
                    total[c] = pivot[c] + total[c] / max(kept[c], 1.0)
                    pivot[c] = number(total[c])
                for i in range(n, n_end):
                    for c in range(channels):
                        place = x + c * across + i * step + s
                        square[c] += squared_differences(p, m, place, mask + i * inner + s, length, pivot[c])
                for c in range(channels):
                    off = total[c] - pivot[c]
                    about = max(square[c] - kept[c] * off * off, 0.0)
                    count[c], mean[c], squares[c] = merge(count[c], mean[c], squares[c], kept[c], total[c], about)

    @njit(fastmath=False, error_model="numpy")
    def normalize(job, x, y, r, mask, length, mean, scale, shift):
        px, py, pr, pm = at(job[X]), at(job[Y]), at(job[R]), bytes_at(job[MASK])
        parameter = number(real(job[PARAMETER]))
        for s in range(length):
            z = fma(load(px, x + s) - mean, scale, shift)
            if residual:
                z += load(pr, r + s)
            value = forward_of(z, parameter)
            if masked:
                value = value if load(pm, mask + s) != 0 else zero
            store(py, y + s, value)

    @njit(fastmath=False, error_model="numpy", forceinline=True)
    def gradient(pointers, places, z_by_x, parameter):
        """X − mean and the gradient of z, at one element."""
        px, pg, pr, pm = pointers
        x, g, r, mask = places
        mean, scale, shift = z_by_x
        d = load(px, x) - mean
        z = fma(d, scale, shift)
        if residual:
            z += load(pr, r)
        value = load(pg, g) * derivative_of(z, parameter)
        if masked:
            keep = load(pm, mask) != 0
            d = d if keep else zero
            value = value if keep else zero
        return d, value

    @njit(fastmath=False, error_model="numpy", forceinline=True)
    def inputs(job):
        return at(job[X]), at(job[G]), at(job[R]), bytes_at(job[MASK])

    @njit(fastmath=SUM, error_model="numpy")
    def reduce(job, x, g, r, mask, length, z_by_x):
        """Σg and Σg·(x − mean) of one run of positions."""
        pointers, parameter = inputs(job), number(real(job[PARAMETER]))
        sum_g, sum_gx = zero, zero
        for s in range(length):
            d, value = gradient(pointers, (x + s, g + s, r + s, mask + s), z_by_x, parameter)
            sum_g += value
            sum_gx += value * d
        return sum_g, sum_gx

    @njit(fastmath=False, error_model="numpy")
    def elementwise(job, x, y, g, r, e, mask, length, z_by_x, dx_by):
        pointers, parameter = inputs(job), number(real(job[PARAMETER]))
        py, pe, pm = at(job[Y]), at(job[D]), bytes_at(job[MASK])
        by_gradient, by_input, constant = dx_by
        for s in range(length):
            d, value = gradient(pointers, (x + s, g + s, r + s, mask + s), z_by_x, parameter)
            dx = fma(value, by_gradient, fma(d, by_input, constant))
            if masked:
                dx = dx if load(pm, mask + s) != 0 else zero
            store(py, y + s, dx)
            if residual:
                store(pe, e + s, value)

    @njit(fastmath=False, error_model="numpy")
    def start(job, tensor, group, c, n):
        return group * job[tensor + 1] + n * job[tensor + 2] + c * job[tensor + 3]

    @njit(fastmath=False, error_model="numpy")
    def strip_of(job, task):
        """Group, first channel, number of channels, and the examples from … to."""
        strips = (job[CHANNELS] + job[STRIP] - 1) // job[STRIP]
        strip, block = task // job[BLOCKS], task % job[BLOCKS]
        first, begin = strip % strips * job[STRIP], block * job[BLOCK]
        channels = min(job[STRIP], job[CHANNELS] - first)
        return strip // strips, first, channels, begin, min(begin + job[BLOCK], job[OUTER])

    @njit(fastmath=False, error_model="numpy")
    def all_moments(job, task, count, mean, squares):
        group, first, channels, begin, end = strip_of(job, task)
        mask = (group * job[OUTER] + begin) * job[INNER]
        moments(job, start(job, X, group, first, begin), mask, channels, end - begin, count, mean, squares)

    @njit(fastmath=False, error_model="numpy")
    def prepare(job, task, mean, scale, shift):
        """The coefficients of each channel of a strip."""
        group, first, channels, _, _ = strip_of(job, task)
        for i in range(channels):
            mean[i], scale[i], shift[i] = coefficients(job, group * job[CHANNELS] + first + i, first + i)

    @njit(fastmath=False, error_model="numpy")
    def all_normalize(job, task):
        group, first, channels, begin, end = strip_of(job, task)
        mean, scale, shift = vector(), vector(), vector()
        prepare(job, task, mean, scale, shift)
        for n in range(begin, end):
            mask = (group * job[OUTER] + n) * job[INNER]
            for i in range(channels):
                c = first + i
                x, y, r = start(job, X, group, c, n), start(job, Y, group, c, n), start(job, R, group, c, n)
                normalize(job, x, y, r, mask, job[INNER], mean[i], scale[i], shift[i])

    @njit(fastmath=False, error_model="numpy")
    def all_reduce(job, task, sums_g, sums_gx):
        group, first, channels, begin, end = strip_of(job, task)
        mean, scale, shift = vector(), vector(), vector()
        prepare(job, task, mean, scale, shift)
        for i in range(channels):
            sums_g[i], sums_gx[i] = 0.0, 0.0
        for n in range(begin, end):
            mask = (group * job[OUTER] + n) * job[INNER]
            for i in range(channels):
                c = first + i
                x, g, r = start(job, X, group, c, n), start(job, G, group, c, n), start(job, R, group, c, n)
                for s in range(0, job[INNER], _CACHED):
                    length = min(_CACHED, job[INNER] - s)
                    z_by_x = (mean[i], scale[i], shift[i])
                    a, b = reduce(job, x + s, g + s, r + s, mask + s, length, z_by_x)
                    sums_g[i] += a
                    sums_gx[i] += b

    @njit(fastmath=False, error_model="numpy")
    def all_elementwise(job, task):
        group, first, channels, begin, end = strip_of(job, task)
        mean, scale, shift = vector(), vector(), vector()
        by_gradient, by_input, constant = vector(), vector(), vector()
        prepare(job, task, mean, scale, shift)
        for i in range(channels):
            values = gradient_coefficients(job, group * job[CHANNELS] + first + i, first + i)
            by_gradient[i], by_input[i], constant[i] = values
        for n in range(begin, end):
            mask = (group * job[OUTER] + n) * job[INNER]
            for i in range(channels):
                c = first + i
                x, y, g = start(job, X, group, c, n), start(job, Y, group, c, n), start(job, G, group, c, n)
                r, e = start(job, R, group, c, n), start(job, D, group, c, n)
                z_by_x, dx_by = (mean[i], scale[i], shift[i]), (by_gradient[i], by_input[i], constant[i])
                elementwise(job, x, y, g, r, e, mask, job[INNER], z_by_x, dx_by)

    def forward(job, task):
        group, first, channels, _, _ = strip_of(job, task)
        count, mean, squares = wide_vector(), wide_vector(), wide_vector()
        all_moments(job, task, count, mean, squares)
        for i in range(channels):
            finish_moments(job, group * job[CHANNELS] + first + i, count[i], mean[i], squares[i])
        all_normalize(job, task)

    def backward(job, task):
        group, first, channels, _, _ = strip_of(job, task)
        sums_g, sums_gx = wide_vector(), wide_vector()
        all_reduce(job, task, sums_g, sums_gx)
        for i in range(channels):
            finish_gradients(job, group * job[CHANNELS] + first + i, sums_g[i], sums_gx[i])
        all_elementwise(job, task)

    def moments_part(job, task):
        group, first, channels, _, _ = strip_of(job, task)
        count, mean, squares = wide_vector(), wide_vector(), wide_vector()
        all_moments(job, task, count, mean, squares)
        partial = wide_at(job[PARTIAL])
        for i in range(channels):
            place = 3 * ((group * job[CHANNELS] + first + i) * job[BLOCKS] + task % job[BLOCKS])
            partial[place], partial[place + 1], partial[place + 2] = count[i], mean[i], squares[i]
        if count_up(job, DONE) == job[TASKS] - 1:
            strips = (job[CHANNELS] + job[STRIP] - 1) // job[STRIP]
            for k in range(job[TASKS] // (job[BLOCKS] * strips) * job[CHANNELS]):
                n, centre, square = 0.0, 0.0, 0.0
                for i in range(3 * k * job[BLOCKS], 3 * (k + 1) * job[BLOCKS], 3):
                    n, centre, square = merge(n, centre, square, partial[i], partial[i + 1], partial[i + 2])
                finish_moments(job, k, n, centre, square)

    def reduce_part(job, task):
        group, first, channels, _, _ = strip_of(job, task)
        sums_g, sums_gx = wide_vector(), wide_vector()
        all_reduce(job, task, sums_g, sums_gx)
        partial = wide_at(job[PARTIAL])
        for i in range(channels):
            place = 2 * ((group * job[CHANNELS] + first + i) * job[BLOCKS] + task % job[BLOCKS])
            partial[place], partial[place + 1] = sums_g[i], sums_gx[i]
        if count_up(job, DONE) == job[TASKS] - 1:
            strips = (job[CHANNELS] + job[STRIP] - 1) // job[STRIP]
            for k in range(job[TASKS] // (job[BLOCKS] * strips) * job[CHANNELS]):
                sum_g, sum_gx = 0.0, 0.0
                for i in range(2 * k * job[BLOCKS], 2 * (k + 1) * job[BLOCKS], 2):
                    sum_g += partial[i]
                    sum_gx += partial[i + 1]
                finish_gradients(job, k, sum_g, sum_gx)

    def normalize_part(job, task):
        all_normalize(job, task)

    def elementwise_part(job, task):
        all_elementwise(job, task)

    parts = {
        "forward": forward,
        "backward": backward,
        "moments": moments_part,
        "normalize": normalize_part,
        "backward_reduce": reduce_part,
        "backward_elementwise": elementwise_part,
    }
    return loop_over_tasks(njit(error_model="numpy")(parts[kind.part]))


def loop_over_tasks(work: Any) -> Any:
    """The C function that a thread runs: it takes tasks until none is left."""

    @cfunc(types.void(types.CPointer(types.int64)), error_model="numpy")
    def kernel(job):
        task = count_up(job, NEXT)
        while task < job[TASKS]:
            work(job, task)
            task = count_up(job, NEXT)

    return kernel
