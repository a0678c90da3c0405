"""From what a form of kernel does with some examples of some channels to the parts of the transform, task by task."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from numba import cfunc, types

from normwise.ops.batch_norm.cpu.channel import Channel
from normwise.ops.batch_norm.cpu.job import BLOCK, BLOCKS, CHANNELS, DONE, NEXT, OUTER, PARTIAL, STRIP, TASKS
from normwise.ops.batch_norm.cpu.split import COLUMNS
from normwise.ops.cpu.memory import count_up, pointer_to, scratch
from normwise.ops.cpu.part import part


class Loops(NamedTuple):
    """The loops of one form, functions of (job, group, first channel, channels, first example, end, …).

    Attributes:
        moments: writes count, mean and sum of squared deviations of each channel.
        normalize: writes y.
        reduce: writes Σg and Σg·(x − mean) of each channel.
        elementwise: writes the gradient of x, and that of the residual.
    """

    moments: Any
    normalize: Any
    reduce: Any
    elementwise: Any


def kernel(part: str, loops: Loops, channel: Channel) -> Any:
    """The C function that a thread runs, a ``numba.cfunc``: it takes tasks of a part until none is left."""
    work = _parts(loops, channel)[part]

    @cfunc(types.void(types.CPointer(types.int64)), error_model="numpy")
    def run(job):
        task = count_up(job, NEXT)
        while task < job[TASKS]:
            work(job, task)
            task = count_up(job, NEXT)

    return run


@functools.cache
def _parts(loops: Loops, channel: Channel) -> dict[str, Any]:
    some_moments, some_normalize, some_reduce, some_elementwise = loops
    finish_moments, finish_gradients, merge = channel.finish_moments, channel.finish_gradients, channel.merge
    vector, wide_at = scratch("float64", COLUMNS), pointer_to("float64")

    @part()
    def place(job, task):
        """Group, first channel, number of channels, and the examples from … to."""
        strips = (job[CHANNELS] + job[STRIP] - 1) // job[STRIP]
        strip, begin = task // job[BLOCKS], task % job[BLOCKS] * job[BLOCK]
        first = strip % strips * job[STRIP]
        channels = min(job[STRIP], job[CHANNELS] - first)
        return strip // strips, first, channels, begin, min(job[OUTER], begin + job[BLOCK])

    @part()
    def partial(job, task, group, c):
        """Where a task keeps its three values of channel c; those of the other blocks follow."""
        return 3 * ((group * job[CHANNELS] + c) * job[BLOCKS] + task % job[BLOCKS])

    @part()
    def keep(job, task, group, first, channels, a, b, c):
        """Write the values of a task's channels; return how many statistics to finish, where it was the last task."""
        kept = wide_at(job[PARTIAL])
        for i in range(channels):
            at = partial(job, task, group, first + i)
            kept[at], kept[at + 1], kept[at + 2] = a[i], b[i], c[i]
        strips = (job[CHANNELS] + job[STRIP] - 1) // job[STRIP]
        groups = job[TASKS] // (job[BLOCKS] * strips)
        return groups * job[CHANNELS] if count_up(job, DONE) == job[TASKS] - 1 else 0

    @part()
    def forward(job, task):
        group, first, channels, begin, end = place(job, task)
        count, mean, squares = vector(), vector(), vector()
        some_moments(job, group, first, channels, begin, end, count, mean, squares)
        for i in range(channels):
            finish_moments(job, group * job[CHANNELS] + first + i, count[i], mean[i], squares[i])
        some_normalize(job, group, first, channels, begin, end)

    @part()
    def backward(job, task):
        group, first, channels, begin, end = place(job, task)
        sum_g, sum_gx = vector(), vector()
        some_reduce(job, group, first, channels, begin, end, sum_g, sum_gx)
        for i in range(channels):
            finish_gradients(job, group * job[CHANNELS] + first + i, sum_g[i], sum_gx[i])
        some_elementwise(job, group, first, channels, begin, end)

    @part()
    def moments(job, task):
        group, first, channels, begin, end = place(job, task)
        count, mean, squares = vector(), vector(), vector()
        some_moments(job, group, first, channels, begin, end, count, mean, squares)
        kept = wide_at(job[PARTIAL])
        for k in range(keep(job, task, group, first, channels, count, mean, squares)):
            n, centre, square = 0.0, 0.0, 0.0
            for i in range(3 * k * job[BLOCKS], 3 * (k + 1) * job[BLOCKS], 3):
                n, centre, square = merge(n, centre, square, kept[i], kept[i + 1], kept[i + 2])
            finish_moments(job, k, n, centre, square)

    @part()
    def backward_reduce(job, task):
        group, first, channels, begin, end = place(job, task)
        sum_g, sum_gx = vector(), vector()
        some_reduce(job, group, first, channels, begin, end, sum_g, sum_gx)
        kept = wide_at(job[PARTIAL])
        for k in range(keep(job, task, group, first, channels, sum_g, sum_gx, sum_gx)):
            total_g, total_gx = 0.0, 0.0
            for i in range(3 * k * job[BLOCKS], 3 * (k + 1) * job[BLOCKS], 3):
                total_g += kept[i]
                total_gx += kept[i + 1]
            finish_gradients(job, k, total_g, total_gx)

    @part()
    def normalize(job, task):
        group, first, channels, begin, end = place(job, task)
        some_normalize(job, group, first, channels, begin, end)

    @part()
    def backward_elementwise(job, task):
        group, first, channels, begin, end = place(job, task)
        some_elementwise(job, group, first, channels, begin, end)

    return {
        "forward": forward,
        "backward": backward,
        "moments": moments,
        "normalize": normalize,
        "backward_reduce": backward_reduce,
        "backward_elementwise": backward_elementwise,
    }
