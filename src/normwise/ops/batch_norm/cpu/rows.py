"""Kernels for inputs whose channels lie side by side: rows of C·S columns with stride 1, S columns to a channel.

S is 1 for (N, C) and channels_last; a contiguous (N, C, S) with few positions is read as N rows of C·S columns. A task
is a strip of channels of one group, or, in the four parts, some rows of a strip. Within a strip every column keeps its
own sums, so that the loop over columns runs in vector registers; the columns of a channel are merged at the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from normwise.ops.batch_norm.cpu.channel import channel
from normwise.ops.batch_norm.cpu.job import (
    BLOCK,
    BLOCKS,
    CHANNELS,
    DONE,
    INNER,
    MASK,
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
from normwise.ops.batch_norm.cpu.planes import loop_over_tasks
from normwise.ops.cpu.activations import functions
from normwise.ops.cpu.intrinsics import fma
from normwise.ops.cpu.memory import count_up, load, pointer_to, real, scratch, store

COLUMNS = 512  # of a strip, at most
_CACHED = 8192  # elements that are read twice in a row
TOGETHER = 4  # rows that are added at once, so that a sum is loaded and stored a quarter as often


def build(kind: Kind) -> Any:
    """The kernel, a ``numba.cfunc``."""
    number = np.dtype(kind.accumulator).type
    zero = number(0)
    at, bytes_at, wide_at = pointer_to(kind.dtype), pointer_to("uint8"), pointer_to("float64")
    vector, wide_vector = scratch(kind.accumulator, COLUMNS), scratch("float64", COLUMNS)
    masked, residual = kind.masked, kind.residual
    forward_of, derivative_of = functions(kind.activation, kind.accumulator == "float32")
    chan = channel(kind.accumulator)
    coefficients, gradient_coefficients, merge = chan.coefficients, chan.gradient_coefficients, chan.merge
    finish_moments, finish_gradients = chan.finish_moments, chan.finish_gradients

    @njit(fastmath=False, error_model="numpy", forceinline=True)
    def counts(job, group, row):
        return not masked or load(bytes_at(job[MASK]), group * job[OUTER] + row) != 0

    @njit(fastmath=False, error_model="numpy", forceinline=True)
    def place(job, tensor, group, row, column):
        return group * job[tensor + 1] + row * job[tensor + 2] + column

    @njit(fastmath=False, error_model="numpy", forceinline=True)
    def fill(p, value, width):
        for j in range(width):
            store(p, j, value)

    def adders(rows):
        """Functions that add (x − centre) and its square to the sums of each column, ``rows`` rows at once."""

        @njit(fastmath=False, error_model="numpy", forceinline=True)
        def add_differences(p, x, step, centre, sums, width):
            for j in range(width):
                c, total = load(centre, j), load(sums, j)
                for i in range(rows):
                    total += load(p, x + i * step + j) - c
                store(sums, j, total)

        @njit(fastmath=False, error_model="numpy", forceinline=True)
        def add_squares(p, x, step, centre, sums, width):
            for j in range(width):
                c, total = load(centre, j), load(sums, j)
                for i in range(rows):
                    d = load(p, x + i * step + j) - c
                    total += d * d
                store(sums, j, total)

        return add_differences, add_squares

    add_difference, add_square = adders(1)
    add_differences, add_squares = adders(TOGETHER)

    @njit(fastmath=False, error_model="numpy", forceinline=True)
    def merge_columns(count, more, centre, first, second, mean, squares, width):
        """Merge ``more`` rows: sums about a ``centre``, squares about its correction."""
        total = count + more
        share = more / total
        for j in range(width):
            exact = load(centre, j) + load(first, j) / np.float64(more)
            off = exact - number(exact)
            delta = exact - load(mean, j)
            square = max(load(second, j) - more * off * off, 0.0)
            store(mean, j, load(mean, j) + delta * share)
            store(squares, j, load(squares, j) + square + delta * delta * (count * share))

    @njit(fastmath=False, error_model="numpy", forceinline=True)
    def first_counting(job, group, row, end):
        while row < end and not counts(job, group, row):
            row += 1
        return row

    @njit(fastmath=False, error_model="numpy")
    def moments(job, group, column, width, begin, end, mean, squares):
        """Moments of each column in some rows; returns how many rows count."""
        p, step = at(job[X]), job[X + 2]
        centre, exact, first, second = vector(), vector(), vector(), vector()
        fill(mean, 0.0, width)
        fill(squares, 0.0, width)
        together = max(TOGETHER, _CACHED // max(width, 1))
        count = 0.0
        for block in range((end - begin + together - 1) // together):
            low = begin + block * together
            high = min(end, low + together)
            row = first_counting(job, group, low, high)
            if row == high:
                continue
            pivot = place(job, X, group, row, column)
            for j in range(width):
                store(centre, j, load(p, pivot + j))
                store(first, j, zero)
                store(second, j, zero)
            kept = 0.0
            row = low
            while row < high:
                x = place(job, X, group, row, column)
                if not masked and row + TOGETHER <= high:
                    add_differences(p, x, step, centre, first, width)
                    kept += TOGETHER
                    row += TOGETHER
                else:
                    if counts(job, group, row):
                        add_difference(p, x, step, centre, first, width)
                        kept += 1.0
                    row += 1
            for j in range(width):
                store(exact, j, number(load(centre, j) + load(first, j) / np.float64(kept)))
            row = low
            while row < high:
                x = place(job, X, group, row, column)
                if not masked and row + TOGETHER <= high:
                    add_squares(p, x, step, exact, second, width)
                    row += TOGETHER
                else:
                    if counts(job, group, row):
                        add_square(p, x, step, exact, second, width)
                    row += 1
            merge_columns(count, kept, centre, first, second, mean, squares, width)
            count += kept
        return count

    @njit(fastmath=False, error_model="numpy")
    def channel_moments(count, mean, squares, i, inner):
        """The moments of the i-th channel of a strip, from those of its columns."""
        n, centre, square = 0.0, 0.0, 0.0
        for j in range(i * inner, (i + 1) * inner):
            n, centre, square = merge(n, centre, square, count, load(mean, j), load(squares, j))
        return n, centre, square

    @njit(fastmath=False, error_model="numpy")
    def spread(job, group, first, channels, mean, scale, shift):
        """The coefficients of each column."""
        for i in range(channels):
            values = coefficients(job, group * job[CHANNELS] + first + i, first + i)
            for j in range(i * job[INNER], (i + 1) * job[INNER]):
                store(mean, j, values[0])
                store(scale, j, values[1])
                store(shift, j, values[2])

    @njit(fastmath=False, error_model="numpy")
    def spread_gradient(job, group, first, channels, by_gradient, by_input, constant):
        for i in range(channels):
            values = gradient_coefficients(job, group * job[CHANNELS] + first + i, first + i)
            for j in range(i * job[INNER], (i + 1) * job[INNER]):
                store(by_gradient, j, values[0])
                store(by_input, j, values[1])
                store(constant, j, values[2])

    @njit(fastmath=False, error_model="numpy", forceinline=True)
    def normalize_row(job, x, y, r, mean, scale, shift, width):
        px, py, pr = at(job[X]), at(job[Y]), at(job[R])
        parameter = number(real(job[PARAMETER]))
        for j in range(width):
            z = fma(load(px, x + j) - load(mean, j), load(scale, j), load(shift, j))
            if residual:
                z += load(pr, r + j)
            store(py, y + j, forward_of(z, parameter))

    @njit(fastmath=False, error_model="numpy", forceinline=True)
    def reduce_row(job, x, g, r, mean, scale, shift, sum_g, sum_gx, width):
        px, pg, pr = at(job[X]), at(job[G]), at(job[R])
        parameter = number(real(job[PARAMETER]))
        for j in range(width):
            d = load(px, x + j) - load(mean, j)
            z = fma(d, load(scale, j), load(shift, j))
            if residual:
                z += load(pr, r + j)
            value = load(pg, g + j) * derivative_of(z, parameter)
            store(sum_g, j, load(sum_g, j) + value)
            store(sum_gx, j, load(sum_gx, j) + value * d)

    @njit(fastmath=False, error_model="numpy", forceinline=True)
    def elementwise_row(job, x, y, g, r, e, mean, scale, shift, by_gradient, by_input, constant, width):
        px, py, pg, pr, pe = at(job[X]), at(job[Y]), at(job[G]), at(job[R]), at(job[D])
        parameter = number(real(job[PARAMETER]))
        for j in range(width):
            d = load(px, x + j) - load(mean, j)
            z = fma(d, load(scale, j), load(shift, j))
            if residual:
                z += load(pr, r + j)
            value = load(pg, g + j) * derivative_of(z, parameter)
            store(py, y + j, fma(value, load(by_gradient, j), fma(d, load(by_input, j), load(constant, j))))
            if residual:
                store(pe, e + j, value)

    @njit(fastmath=False, error_model="numpy")
    def all_normalize(job, group, first, channels, begin, end):
        mean, scale, shift = vector(), vector(), vector()
        spread(job, group, first, channels, mean, scale, shift)
        column, width = first * job[INNER], channels * job[INNER]
        for row in range(begin, end):
            y = place(job, Y, group, row, column)
            if counts(job, group, row):
                x, r = place(job, X, group, row, column), place(job, R, group, row, column)
                normalize_row(job, x, y, r, mean, scale, shift, width)
            else:
                for j in range(width):
                    store(at(job[Y]), y + j, zero)

    @njit(fastmath=False, error_model="numpy")
    def all_reduce(job, group, first, channels, begin, end, sums_g, sums_gx):
        mean, scale, shift, sum_g, sum_gx = vector(), vector(), vector(), vector(), vector()
        spread(job, group, first, channels, mean, scale, shift)
        column, width = first * job[INNER], channels * job[INNER]
        fill(sums_g, 0.0, width)
        fill(sums_gx, 0.0, width)
        together = max(1, _CACHED // max(width, 1))
        for block in range((end - begin + together - 1) // together):
            low = begin + block * together
            fill(sum_g, zero, width)
            fill(sum_gx, zero, width)
            for row in range(low, min(end, low + together)):
                if counts(job, group, row):
                    x, g = place(job, X, group, row, column), place(job, G, group, row, column)
                    r = place(job, R, group, row, column)
                    reduce_row(job, x, g, r, mean, scale, shift, sum_g, sum_gx, width)
            for j in range(width):
                store(sums_g, j, load(sums_g, j) + load(sum_g, j))
                store(sums_gx, j, load(sums_gx, j) + load(sum_gx, j))

    @njit(fastmath=False, error_model="numpy")
    def all_elementwise(job, group, first, channels, begin, end):
        mean, scale, shift = vector(), vector(), vector()
        by_gradient, by_input, constant = vector(), vector(), vector()
        spread(job, group, first, channels, mean, scale, shift)
        spread_gradient(job, group, first, channels, by_gradient, by_input, constant)
        column, width = first * job[INNER], channels * job[INNER]
        for row in range(begin, end):
            y, e = place(job, Y, group, row, column), place(job, D, group, row, column)
            if counts(job, group, row):
                x, g = place(job, X, group, row, column), place(job, G, group, row, column)
                r = place(job, R, group, row, column)
                elementwise_row(job, x, y, g, r, e, mean, scale, shift, by_gradient, by_input, constant, width)
            else:
                for j in range(width):
                    store(at(job[Y]), y + j, zero)
                    if residual:
                        store(at(job[D]), e + j, zero)

    @njit(fastmath=False, error_model="numpy")
    def total(sums, i, inner):
        value = 0.0
        for j in range(i * inner, (i + 1) * inner):
            value += load(sums, j)
        return value

    @njit(fastmath=False, error_model="numpy")
    def strip_of(job, task):
        """Group, first channel, number of channels, block, and its rows from … to."""
        strips = (job[CHANNELS] + job[STRIP] - 1) // job[STRIP]
        block, strip = task % job[BLOCKS], task // job[BLOCKS]
        first = strip % strips * job[STRIP]
        begin = block * job[BLOCK]
        channels = min(job[STRIP], job[CHANNELS] - first)
        return strip // strips, first, channels, block, begin, min(job[OUTER], begin + job[BLOCK])

    def forward(job, task):
        group, first, channels, _, begin, end = strip_of(job, task)
        mean, squares = wide_vector(), wide_vector()
        count = moments(job, group, first * job[INNER], channels * job[INNER], begin, end, mean, squares)
        for i in range(channels):
            n, centre, square = channel_moments(count, mean, squares, i, job[INNER])
            finish_moments(job, group * job[CHANNELS] + first + i, n, centre, square)
        all_normalize(job, group, first, channels, begin, end)

    def backward(job, task):
        group, first, channels, _, begin, end = strip_of(job, task)
        sums_g, sums_gx = wide_vector(), wide_vector()
        all_reduce(job, group, first, channels, begin, end, sums_g, sums_gx)
        for i in range(channels):
            k = group * job[CHANNELS] + first + i
            finish_gradients(job, k, total(sums_g, i, job[INNER]), total(sums_gx, i, job[INNER]))
        all_elementwise(job, group, first, channels, begin, end)

    def moments_part(job, task):
        group, first, channels, block, begin, end = strip_of(job, task)
        mean, squares = wide_vector(), wide_vector()
        count = moments(job, group, first * job[INNER], channels * job[INNER], begin, end, mean, squares)
        partial = wide_at(job[PARTIAL])
        for i in range(channels):
            at_channel = 3 * ((group * job[BLOCKS] + block) * job[CHANNELS] + first + i)
            n, centre, square = channel_moments(count, mean, squares, i, job[INNER])
            partial[at_channel] = n
            partial[at_channel + 1] = centre
            partial[at_channel + 2] = square
        if count_up(job, DONE) == job[TASKS] - 1:
            strips = (job[CHANNELS] + job[STRIP] - 1) // job[STRIP]
            for group in range(job[TASKS] // (job[BLOCKS] * strips)):
                for c in range(job[CHANNELS]):
                    n, centre, square = 0.0, 0.0, 0.0
                    for b in range(job[BLOCKS]):
                        i = 3 * ((group * job[BLOCKS] + b) * job[CHANNELS] + c)
                        n, centre, square = merge(n, centre, square, partial[i], partial[i + 1], partial[i + 2])
                    finish_moments(job, group * job[CHANNELS] + c, n, centre, square)

    def reduce_part(job, task):
        group, first, channels, block, begin, end = strip_of(job, task)
        sums_g, sums_gx = wide_vector(), wide_vector()
        all_reduce(job, group, first, channels, begin, end, sums_g, sums_gx)
        partial = wide_at(job[PARTIAL])
        for i in range(channels):
            at_channel = 2 * ((group * job[BLOCKS] + block) * job[CHANNELS] + first + i)
            partial[at_channel] = total(sums_g, i, job[INNER])
            partial[at_channel + 1] = total(sums_gx, i, job[INNER])
        if count_up(job, DONE) == job[TASKS] - 1:
            strips = (job[CHANNELS] + job[STRIP] - 1) // job[STRIP]
            for group in range(job[TASKS] // (job[BLOCKS] * strips)):
                for c in range(job[CHANNELS]):
                    sum_g, sum_gx = 0.0, 0.0
                    for b in range(job[BLOCKS]):
                        i = 2 * ((group * job[BLOCKS] + b) * job[CHANNELS] + c)
                        sum_g += partial[i]
                        sum_gx += partial[i + 1]
                    finish_gradients(job, group * job[CHANNELS] + c, sum_g, sum_gx)

    def normalize_part(job, task):
        group, first, channels, _, begin, end = strip_of(job, task)
        all_normalize(job, group, first, channels, begin, end)

    def elementwise_part(job, task):
        group, first, channels, _, begin, end = strip_of(job, task)
        all_elementwise(job, group, first, channels, begin, end)

    parts = {
        "forward": forward,
        "backward": backward,
        "moments": moments_part,
        "normalize": normalize_part,
        "backward_reduce": reduce_part,
        "backward_elementwise": elementwise_part,
    }
    return loop_over_tasks(njit(error_model="numpy")(parts[kind.part]))
