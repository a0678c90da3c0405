"""Loops over inputs whose channels lie side by side: rows of C·S columns with stride 1, S columns to a channel.

S is 1 for (N, C) and channels_last; a contiguous (N, C, S) with few positions is read as N rows of C·S columns. Within
a strip of channels every column keeps its own sums, so that loops over columns run in vector registers; the columns of
a channel are merged at the end. A row is not what follows the one before it in memory unless the strip has all columns,
so rows ask for the rows that follow them.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from normwise.ops.batch_norm.cpu.channel import channel
from normwise.ops.batch_norm.cpu.job import CHANNELS, INNER, MASK, OUTER, PARAMETER, D, G, Kind, R, X, Y
from normwise.ops.batch_norm.cpu.split import COLUMNS
from normwise.ops.batch_norm.cpu.tasks import Loops, kernel
from normwise.ops.cpu.activations import functions
from normwise.ops.cpu.intrinsics import fma
from normwise.ops.cpu.memory import load, pointer_to, prefetcher, real, scratch, store, store_output
from normwise.ops.cpu.part import part

_SUMMED = 64  # rows that are summed in float32 before they are added to a float64
_PIVOT = 8  # rows whose mean is near enough to that of the first block
_TOGETHER = 4
_NARROW = 256  # columns up to which four rows are added at once, so that sums are loaded and stored a quarter as often
_APART = 80  # elements between two arrays, so that their columns do not contend for the same place in cache
_ASKED = 128  # columns of the next row that are asked for at a time


def build(kind: Kind) -> Any:
    """The kernel, a ``numba.cfunc``."""
    loops = _loops(kind.dtype, kind.accumulator, kind.activation, kind.residual, kind.masked)
    return kernel(kind.part, loops, channel(kind.accumulator))


@functools.cache
def _loops(dtype: str, accumulator: str, activation: str, residual: bool, masked: bool) -> Loops:
    """The loops of all parts, so that numba infers the types of what several have in common once in a process."""
    number = np.dtype(accumulator).type
    zero = number(0)
    at, bytes_at = pointer_to(dtype), pointer_to("uint8")
    vector, wide_vector = scratch(accumulator, COLUMNS + _APART), scratch("float64", COLUMNS + _APART)
    soon_read, soon_written = prefetcher(dtype), prefetcher(dtype, to_write=True)
    forward_of, derivative_of = functions(activation, accumulator == "float32")
    chan = channel(accumulator)
    coefficients, gradient_coefficients, merge = chan.coefficients, chan.gradient_coefficients, chan.merge

    @part(fastmath=False, forceinline=True)
    def counts(job, group, row):
        return not masked or load(bytes_at(job[MASK]), group * job[OUTER] + row) != 0

    @part(fastmath=False, forceinline=True)
    def place(job, tensor, group, row, column):
        return group * job[tensor + 1] + row * job[tensor + 2] + column

    @part(fastmath=False, forceinline=True)
    def is_narrow(width):
        """Whether several rows are added at once."""
        return not masked and width <= _NARROW

    @part(fastmath=False, forceinline=True)
    def is_apart(job, width):
        """Whether the next row is not what follows in memory."""
        return job[X + 2] != width

    @part(fastmath=False, forceinline=True)
    def rows_at_once(job, width):
        """How many rows lie side by side as one long row, within the room that there is for coefficients."""
        alike = not masked and job[X + 2] == width and job[Y + 2] == width
        alike = alike and (job[G] == 0 or job[G + 2] == width)
        if residual:
            alike = alike and job[R + 2] == width and (job[D] == 0 or job[D + 2] == width)
        return max(1, _NARROW // width) if alike else 1

    @part(fastmath=False, forceinline=True)
    def repeat(p, width, times):
        for i in range(1, times):
            for j in range(width):
                store(p, i * width + j, load(p, j))

    @part(fastmath=False, forceinline=True)
    def fill(p, value, width):
        for j in range(width):
            store(p, j, value)

    def adder(rows):
        """The function that adds ``rows`` rows to Σ(x − pivot) and Σ(x − pivot)² of each column."""

        @part(fastmath=False, forceinline=True)
        def add(job, x, pivot, sums, squares, low, high):
            p, step = at(job[X]), job[X + 2]
            for j in range(low, high):
                centre, total, square = load(pivot, j), load(sums, j), load(squares, j)
                for i in range(rows):
                    d = load(p, x + i * step + j) - centre
                    total += d
                    square = fma(d, d, square)
                store(sums, j, total)
                store(squares, j, square)

        return add

    add_row, add_rows = adder(1), adder(_TOGETHER)

    @part(fastmath=False, forceinline=True)
    def merge_columns(count, more, pivot, sums, about, mean, squares, width):
        """Merge ``more`` rows, given their sums about a pivot."""
        share, n = more / (count + more), 1.0 / more
        for j in range(width):
            off = load(sums, j) * n
            square = max(load(about, j) - load(sums, j) * off, 0.0)
            delta = load(pivot, j) + off - load(mean, j)
            store(mean, j, load(mean, j) + delta * share)
            store(squares, j, load(squares, j) + square + delta * delta * (count * share))

    @part(fastmath=False, forceinline=True)
    def add_block(job, group, column, width, low, high, pivot, sums, about):
        """Sums of each column over some rows; returns how many rows count."""
        fill(sums, zero, width)
        fill(about, zero, width)
        narrow, apart = is_narrow(width), is_apart(job, width)
        row, kept = low, 0.0
        while row < high:
            x = place(job, X, group, row, column)
            if narrow and row + _TOGETHER <= high:
                for i in range(_TOGETHER, 2 * _TOGETHER):
                    soon_read(at(job[X]), x + i * job[X + 2], width)
                add_rows(job, x, pivot, sums, about, 0, width)
                kept += _TOGETHER
                row += _TOGETHER
            else:
                if counts(job, group, row):
                    for j in range(0, width, _ASKED):
                        stop = min(width, j + _ASKED)
                        if apart:
                            soon_read(at(job[X]), x + job[X + 2] + j, stop - j)
                        add_row(job, x, pivot, sums, about, j, stop)
                    kept += 1.0
                row += 1
        return kept

    @part(fastmath=False)
    def column_moments(job, group, column, width, begin, end, mean, squares):
        """Moments of each column, merged block by block as for planes; returns how many rows count."""
        pivot, sums, about = vector(), vector(), vector()
        fill(mean, 0.0, width)
        fill(squares, 0.0, width)
        count = 0.0
        for low in range(begin, end, _SUMMED):
            high = min(end, low + _SUMMED)
            stop = high
            if count > 0.0:
                for j in range(width):
                    store(pivot, j, number(load(mean, j)))
            else:
                row = low
                while row < high and not counts(job, group, row):
                    row += 1
                if row == high:
                    continue
                first, stop = place(job, X, group, row, column), min(high, row + _PIVOT)
                for j in range(width):
                    store(pivot, j, load(at(job[X]), first + j))
            while True:
                kept = add_block(job, group, column, width, low, stop, pivot, sums, about)
                if stop == high:
                    break
                stop = high  # those few were only to find a pivot
                for j in range(width):
                    store(pivot, j, load(pivot, j) + load(sums, j) / number(kept))
            if kept > 0.0:
                merge_columns(count, kept, pivot, sums, about, mean, squares, width)
                count += kept
        return count

    @part(fastmath=False)
    def moments(job, group, first, channels, begin, end, count, mean, squares):
        inner = job[INNER]
        means, abouts = wide_vector(), wide_vector()
        rows = column_moments(job, group, first * inner, channels * inner, begin, end, means, abouts)
        for i in range(channels):
            n, centre, square = 0.0, 0.0, 0.0
            for j in range(i * inner, (i + 1) * inner):
                n, centre, square = merge(n, centre, square, rows, means[j], abouts[j])
            count[i], mean[i], squares[i] = n, centre, square

    @part(fastmath=False)
    def spread(job, values, i, a, b, c):
        """Give the three values of a channel to each of its columns."""
        for j in range(i * job[INNER], (i + 1) * job[INNER]):
            store(a, j, values[0])
            store(b, j, values[1])
            store(c, j, values[2])

    @part(fastmath=False)
    def prepare(job, group, first, channels, mean, scale, shift):
        for i in range(channels):
            spread(job, coefficients(job, group * job[CHANNELS] + first + i, first + i), i, mean, scale, shift)

    @part(fastmath=False, forceinline=True)
    def normalize_row(job, x, y, r, mean, scale, shift, low, high):
        px, py, pr = at(job[X]), at(job[Y]), at(job[R])
        parameter = number(real(job[PARAMETER]))
        for j in range(low, high):
            z = fma(load(px, x + j) - load(mean, j), load(scale, j), load(shift, j))
            if residual:
                z += load(pr, r + j)
            store_output(py, y + j, forward_of(z, parameter))

    @part(fastmath=False)
    def normalize(job, group, first, channels, begin, end):
        mean, scale, shift = vector(), vector(), vector()
        prepare(job, group, first, channels, mean, scale, shift)
        column, width = first * job[INNER], channels * job[INNER]
        rows, apart = rows_at_once(job, width), is_apart(job, width)
        for p in (mean, scale, shift):
            repeat(p, width, rows)
        for row in range(begin, end, rows):
            length = min(rows, end - row) * width
            asked = _ASKED if apart else length
            y = place(job, Y, group, row, column)
            if counts(job, group, row):
                x, r = place(job, X, group, row, column), place(job, R, group, row, column)
                for j in range(0, length, asked):
                    stop = min(length, j + asked)
                    if apart:
                        soon_read(at(job[X]), x + job[X + 2] + j, stop - j)
                        soon_written(at(job[Y]), y + job[Y + 2] + j, stop - j)
                        if residual:
                            soon_read(at(job[R]), r + job[R + 2] + j, stop - j)
                    normalize_row(job, x, y, r, mean, scale, shift, j, stop)
            else:
                for j in range(width):
                    store_output(at(job[Y]), y + j, zero)

    @part(fastmath=False, forceinline=True)
    def gradient(pointers, places, j, z_by_x, parameter):
        """Deviation x − mean and the gradient of z, at one element."""
        px, pg, pr = pointers
        x, g, r = places
        mean, scale, shift = z_by_x
        d = load(px, x + j) - mean
        z = fma(d, scale, shift)
        if residual:
            z += load(pr, r + j)
        return d, load(pg, g + j) * derivative_of(z, parameter)

    def reducer(rows):
        """The function that adds ``rows`` rows to Σg and Σg·(x − mean) of each column."""

        @part(fastmath=False, forceinline=True)
        def add(job, group, row, column, mean, scale, shift, sum_g, sum_gx, low, high):
            pointers = (at(job[X]), at(job[G]), at(job[R]))
            x, g = place(job, X, group, row, column), place(job, G, group, row, column)
            r = place(job, R, group, row, column)
            x_step, g_step, r_step = job[X + 2], job[G + 2], job[R + 2]
            parameter = number(real(job[PARAMETER]))
            for j in range(low, high):
                z_by_x, total_g, total_gx = (
                    (load(mean, j), load(scale, j), load(shift, j)),
                    load(sum_g, j),
                    load(sum_gx, j),
                )
                for i in range(rows):
                    places = (x + i * x_step, g + i * g_step, r + i * r_step)
                    d, value = gradient(pointers, places, j, z_by_x, parameter)
                    total_g += value
                    total_gx = fma(value, d, total_gx)
                store(sum_g, j, total_g)
                store(sum_gx, j, total_gx)

        return add

    reduce_row, reduce_rows = reducer(1), reducer(_TOGETHER)

    @part(fastmath=False, forceinline=True)
    def soon_gradient(job, group, row, column, width):
        soon_read(at(job[X]), place(job, X, group, row, column), width)
        soon_read(at(job[G]), place(job, G, group, row, column), width)
        if residual:
            soon_read(at(job[R]), place(job, R, group, row, column), width)

    @part(fastmath=False)
    def reduce(job, group, first, channels, begin, end, sums_g, sums_gx):
        mean, scale, shift, sum_g, sum_gx = vector(), vector(), vector(), vector(), vector()
        total_g, total_gx = wide_vector(), wide_vector()
        prepare(job, group, first, channels, mean, scale, shift)
        column, width = first * job[INNER], channels * job[INNER]
        narrow, apart = is_narrow(width), is_apart(job, width)
        fill(total_g, 0.0, width)
        fill(total_gx, 0.0, width)
        for low in range(begin, end, _SUMMED):
            row, high = low, min(end, low + _SUMMED)
            fill(sum_g, zero, width)
            fill(sum_gx, zero, width)
            while row < high:
                if narrow and row + _TOGETHER <= high:
                    for i in range(_TOGETHER, 2 * _TOGETHER):
                        soon_gradient(job, group, row + i, column, width)
                    reduce_rows(job, group, row, column, mean, scale, shift, sum_g, sum_gx, 0, width)
                    row += _TOGETHER
                else:
                    if counts(job, group, row):
                        for j in range(0, width, _ASKED):
                            stop = min(width, j + _ASKED)
                            if apart:
                                soon_gradient(job, group, row + 1, column + j, stop - j)
                            reduce_row(job, group, row, column, mean, scale, shift, sum_g, sum_gx, j, stop)
                    row += 1
            for j in range(width):
                store(total_g, j, load(total_g, j) + load(sum_g, j))
                store(total_gx, j, load(total_gx, j) + load(sum_gx, j))
        for i in range(channels):
            sums_g[i], sums_gx[i] = 0.0, 0.0
            for j in range(i * job[INNER], (i + 1) * job[INNER]):
                sums_g[i] += total_g[j]
                sums_gx[i] += total_gx[j]

    @part(fastmath=False, forceinline=True)
    def elementwise_row(job, places, y, e, mean, scale, shift, by_gradient, by_input, constant, low, high):
        pointers, py, pe = (at(job[X]), at(job[G]), at(job[R])), at(job[Y]), at(job[D])
        parameter = number(real(job[PARAMETER]))
        for j in range(low, high):
            d, value = gradient(pointers, places, j, (load(mean, j), load(scale, j), load(shift, j)), parameter)
            store_output(py, y + j, fma(value, load(by_gradient, j), fma(d, load(by_input, j), load(constant, j))))
            if residual:
                store_output(pe, e + j, value)

    @part(fastmath=False)
    def elementwise(job, group, first, channels, begin, end):
        mean, scale, shift = vector(), vector(), vector()
        by_gradient, by_input, constant = vector(), vector(), vector()
        prepare(job, group, first, channels, mean, scale, shift)
        for i in range(channels):
            values = gradient_coefficients(job, group * job[CHANNELS] + first + i, first + i)
            spread(job, values, i, by_gradient, by_input, constant)
        column, width = first * job[INNER], channels * job[INNER]
        rows, apart = rows_at_once(job, width), is_apart(job, width)
        for p in (mean, scale, shift, by_gradient, by_input, constant):
            repeat(p, width, rows)
        for row in range(begin, end, rows):
            length = min(rows, end - row) * width
            asked = _ASKED if apart else length
            y, e = place(job, Y, group, row, column), place(job, D, group, row, column)
            if counts(job, group, row):
                places = (
                    place(job, X, group, row, column),
                    place(job, G, group, row, column),
                    place(job, R, group, row, column),
                )
                for j in range(0, length, asked):
                    stop = min(length, j + asked)
                    if apart:
                        soon_gradient(job, group, row + 1, column + j, stop - j)
                        soon_written(at(job[Y]), y + job[Y + 2] + j, stop - j)
                        if residual:
                            soon_written(at(job[D]), e + job[D + 2] + j, stop - j)
                    elementwise_row(job, places, y, e, mean, scale, shift, by_gradient, by_input, constant, j, stop)
            else:
                for j in range(width):
                    store_output(at(job[Y]), y + j, zero)
                    if residual:
                        store_output(at(job[D]), e + j, zero)

    if activation != "identity" or residual:  # which moments do not depend on
        moments = _loops(dtype, accumulator, "identity", False, masked).moments
    return Loops(moments, normalize, reduce, elementwise)
