"""Loops over inputs whose positions lie side by side: (N, C, S) with stride 1 along S.

The S positions of one channel in one example are a run. The next run of the channel lies elsewhere, where the processor
does not expect it, so each run asks for the one that follows it.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from normwise.ops.batch_norm.cpu.channel import channel
from normwise.ops.batch_norm.cpu.job import CHANNELS, INNER, MASK, OUTER, PARAMETER, D, G, Kind, R, X, Y
from normwise.ops.batch_norm.cpu.split import STRIPS
from normwise.ops.batch_norm.cpu.tasks import Loops, kernel
from normwise.ops.cpu.activations import functions
from normwise.ops.cpu.intrinsics import fma
from normwise.ops.cpu.memory import load, load_output, pointer_to, prefetcher, real, scratch, store_output
from normwise.ops.cpu.part import part

_SUMMED = 4096  # elements that are summed in float32 before they are added to a float64
SUM = {"reassoc", "contract", "nsz"}  # lets sums run in vector registers; products and activations stay as written


def build(kind: Kind) -> Any:
    """The kernel, a ``numba.cfunc``."""
    loops = _loops(kind.dtype, kind.accumulator, kind.activation, kind.residual, kind.masked, kind.keeps)
    return kernel(kind.part, loops, channel(kind.accumulator))


@functools.cache
def _loops(dtype: str, accumulator: str, activation: str, residual: bool, masked: bool, keeps: int) -> Loops:
    """The loops of all parts, so that numba infers the types of what several have in common once in a process."""
    number = np.dtype(accumulator).type
    zero = number(0)
    at, bytes_at = pointer_to(dtype), pointer_to("uint8")
    vector, wide_vector = scratch(accumulator, STRIPS), scratch("float64", STRIPS)
    soon_read, soon_written = prefetcher(dtype), prefetcher(dtype, to_write=True)
    forward_of, derivative_of = functions(activation, accumulator == "float32")
    chan = channel(accumulator)
    coefficients, gradient_coefficients, merge = chan.coefficients, chan.gradient_coefficients, chan.merge

    @part(fastmath=False, forceinline=True)
    def place(job, tensor, group, c, n):
        return group * job[tensor + 1] + n * job[tensor + 2] + c * job[tensor + 3]

    @part(fastmath=False, forceinline=True)
    def mask_place(job, group, n):
        return (group * job[OUTER] + n) * job[INNER]

    @part(fastmath=SUM, forceinline=True)
    def sums(job, x, mask, length, pivot):
        """The number of values, Σ(x − pivot) and Σ(x − pivot)² of one run, or a part of it."""
        p, m = at(job[X]), bytes_at(job[MASK])
        total, square, kept = zero, zero, 0
        for s in range(length):
            d = load(p, x + s) - pivot
            if masked:
                keep = load(m, mask + s) != 0
                d = d if keep else zero
                kept += keep
            total += d
            square += d * d
        return (kept if masked else length), total, square

    @part(fastmath=False)
    def near_mean(job, group, c, begin, end, s, length):
        """A value near those of a block: the mean, as float32 knows it, of the first run in which something counts."""
        for n in range(begin, end):
            x, mask, i = place(job, X, group, c, n) + s, mask_place(job, group, n) + s, 0
            if masked:
                while i < length and load(bytes_at(job[MASK]), mask + i) == 0:
                    i += 1
            if i < length:
                pivot = load(at(job[X]), x + i)
                kept, total, _ = sums(job, x, mask, length, pivot)
                return pivot + total / number(kept)
        return zero

    @part(fastmath=False)
    def moments(job, group, first, channels, begin, end, count, mean, squares):
        """Sums about the mean of what was read before, merged block by block; the first block brings its own pivot.

        With m the mean of the values before it, a block adds Σ(x − m)² − n·(mean − m)² to the squares. What cancels
        there is part of the channel's own squares, so that rounding stays relative to these (Welford 1962).
        """
        inner, step = job[INNER], job[X + 2]
        pivot, kept, total, square = vector(), wide_vector(), wide_vector(), wide_vector()
        together = max(1, _SUMMED // max(inner * channels, 1))
        for c in range(channels):
            count[c], mean[c], squares[c] = 0.0, 0.0, 0.0
        for low in range(begin, end, together):
            high = min(end, low + together)
            for s in range(0, inner, _SUMMED):
                length = min(_SUMMED, inner - s)
                for c in range(channels):
                    kept[c], total[c], square[c], pivot[c] = 0.0, 0.0, 0.0, number(mean[c])
                    if count[c] == 0.0:
                        pivot[c] = near_mean(job, group, first + c, low, high, s, length)
                for n in range(low, high):
                    for c in range(channels):
                        x = place(job, X, group, first + c, n) + s
                        soon_read(at(job[X]), x + step, length)
                        values = sums(job, x, mask_place(job, group, n) + s, length, pivot[c])
                        kept[c] += values[0]
                        total[c] += values[1]
                        square[c] += values[2]
                for c in range(channels):
                    off = total[c] / max(kept[c], 1.0)
                    about = max(square[c] - total[c] * off, 0.0)
                    count[c], mean[c], squares[c] = merge(count[c], mean[c], squares[c], kept[c], pivot[c] + off, about)

    @part(fastmath=False)
    def prepare(job, group, first, channels, mean, scale, shift):
        """The coefficients of each channel of a strip."""
        for i in range(channels):
            mean[i], scale[i], shift[i] = coefficients(job, group * job[CHANNELS] + first + i, first + i)

    @part(fastmath=False)
    def normalize_run(job, places, mask, z_by_x):
        px, py, pr, pm = at(job[X]), at(job[Y]), at(job[R]), bytes_at(job[MASK])
        parameter = number(real(job[PARAMETER]))
        x, y, r = places
        mean, scale, shift = z_by_x
        for s in range(job[INNER]):
            z = fma(load(px, x + s) - mean, scale, shift)
            if residual:
                z += load(pr, r + s)
            value = forward_of(z, parameter)
            if masked:
                value = value if load(pm, mask + s) != 0 else zero
            store_output(py, y + s, value)

    @part(fastmath=False)
    def normalize(job, group, first, channels, begin, end):
        mean, scale, shift = vector(), vector(), vector()
        prepare(job, group, first, channels, mean, scale, shift)
        for n in range(begin, end):
            for i in range(channels):
                x, y = place(job, X, group, first + i, n), place(job, Y, group, first + i, n)
                r = place(job, R, group, first + i, n)
                soon_read(at(job[X]), x + job[X + 2], job[INNER])
                soon_written(at(job[Y]), y + job[Y + 2], job[INNER])
                if residual:
                    soon_read(at(job[R]), r + job[R + 2], job[INNER])
                normalize_run(job, (x, y, r), mask_place(job, group, n), (mean[i], scale[i], shift[i]))

    @part(fastmath=False, forceinline=True)
    def gradient(pointers, places, s, z_by_x, parameter):
        """Deviation x − mean and the gradient of z, at one element."""
        px, pg, pr, pm = pointers
        x, g, r, mask = places
        mean, scale, shift = z_by_x
        d = load(px, x + s) - mean
        z = fma(d, scale, shift)
        if residual:
            z += load(pr, r + s)
        value = load(pg, g + s) * derivative_of(z, parameter)
        if masked:
            keep = load(pm, mask + s) != 0
            d = d if keep else zero
            value = value if keep else zero
        return d, value

    @part(fastmath=False, forceinline=True)
    def gradient_inputs(job, group, c, n):
        """Where the tensors begin, and where their runs do; the following runs are on their way."""
        x, g, r = place(job, X, group, c, n), place(job, G, group, c, n), place(job, R, group, c, n)
        soon_read(at(job[X]), x + job[X + 2], job[INNER])
        soon_read(at(job[G]), g + job[G + 2], job[INNER])
        if residual:
            soon_read(at(job[R]), r + job[R + 2], job[INNER])
        return (at(job[X]), at(job[G]), at(job[R]), bytes_at(job[MASK])), (x, g, r, mask_place(job, group, n))

    @part(fastmath=SUM)
    def reduce_run(job, pointers, places, kept, begin, end, z_by_x):
        """Σg and Σg·(x − mean) of a part of a run; where g is kept, it is written there."""
        parameter, pk = number(real(job[PARAMETER])), at(job[keeps])
        sum_g, sum_gx = zero, zero
        for s in range(begin, end):
            d, value = gradient(pointers, places, s, z_by_x, parameter)
            if keeps:
                store_output(pk, kept + s, value)
            sum_g += value
            sum_gx += value * d
        return sum_g, sum_gx

    @part(fastmath=False)
    def reduce(job, group, first, channels, begin, end, sums_g, sums_gx):
        mean, scale, shift = vector(), vector(), vector()
        prepare(job, group, first, channels, mean, scale, shift)
        for i in range(channels):
            sums_g[i], sums_gx[i] = 0.0, 0.0
        for n in range(begin, end):
            for i in range(channels):
                pointers, places = gradient_inputs(job, group, first + i, n)
                kept = place(job, keeps, group, first + i, n) if keeps else 0
                if keeps:
                    soon_written(at(job[keeps]), kept + job[keeps + 2], job[INNER])
                for s in range(0, job[INNER], _SUMMED):
                    stop = min(s + _SUMMED, job[INNER])
                    a, b = reduce_run(job, pointers, places, kept, s, stop, (mean[i], scale[i], shift[i]))
                    sums_g[i] += a
                    sums_gx[i] += b

    @part(fastmath=False)
    def elementwise_run(job, pointers, places, y, e, z_by_x, dx_by):
        parameter = number(real(job[PARAMETER]))
        py, pe, pm, mask = at(job[Y]), at(job[D]), pointers[3], places[3]
        pk, kept = (pe, e) if residual else (py, y)
        by_gradient, by_input, constant = dx_by
        for s in range(job[INNER]):
            if keeps:
                d, value = load(pointers[0], places[0] + s) - z_by_x[0], load_output(pk, kept + s)
            else:
                d, value = gradient(pointers, places, s, z_by_x, parameter)
            dx = fma(value, by_gradient, fma(d, by_input, constant))
            if masked:
                dx = dx if load(pm, mask + s) != 0 else zero
            store_output(py, y + s, dx)
            if residual and not keeps:
                store_output(pe, e + s, value)

    @part(fastmath=False)
    def elementwise(job, group, first, channels, begin, end):
        mean, scale, shift = vector(), vector(), vector()
        by_gradient, by_input, constant = vector(), vector(), vector()
        prepare(job, group, first, channels, mean, scale, shift)
        for i in range(channels):
            values = gradient_coefficients(job, group * job[CHANNELS] + first + i, first + i)
            by_gradient[i], by_input[i], constant[i] = values
        for n in range(begin, end):
            for i in range(channels):
                pointers, places = gradient_inputs(job, group, first + i, n)
                y, e = place(job, Y, group, first + i, n), place(job, D, group, first + i, n)
                soon_written(at(job[Y]), y + job[Y + 2], job[INNER])
                if residual:
                    soon_written(at(job[D]), e + job[D + 2], job[INNER])
                z_by_x, dx_by = (mean[i], scale[i], shift[i]), (by_gradient[i], by_input[i], constant[i])
                elementwise_run(job, pointers, places, y, e, z_by_x, dx_by)

    if activation != "identity" or residual:  # which moments do not depend on
        moments = _loops(dtype, accumulator, "identity", False, masked, 0).moments
    return Loops(moments, normalize, reduce, elementwise)
