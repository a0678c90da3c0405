"""How the work on a tensor is divided into tasks."""

from __future__ import annotations

import functools
from typing import NamedTuple

from normwise.ops.batch_norm.layout import Layout

STRIPS = 64  # channels of a strip of planes, at most
COLUMNS = 1024  # of a strip of rows, at most
_CACHE = 512 * 1024  # bytes that a task may expect to find again in its core's cache
_PART = 1 << 18  # elements of a part, where a channel is split
_RUN = 2048  # elements that a task reads side by side, so that memory is read in long runs
_LEAST = 64  # columns that are read together
_WIDE = 512  # columns of a strip that makes it worth while to read the rows of a large input piecewise


class Split(NamedTuple):
    """The tasks that a kernel is given.

    ``blocks`` parts of ``block`` examples each; 1 where a task does all of its channels at once, in two passes of
    which the second finds them in cache. ``strip`` channels to a task.
    """

    strip: int
    blocks: int
    block: int
    tasks: int


@functools.lru_cache(maxsize=4096)
def split(layout: Layout, tensors: int, itemsize: int) -> Split:
    """How the work is divided; independent of the number of threads, so that results are too.

    Args:
        layout: of the input.
        tensors: how many of its size are read.
        itemsize: bytes of an element.
    """
    form, groups, channels, outer, inner = layout
    if form == "planes":
        parts = 1 if groups * channels >= 16 or outer * inner < _PART // 8 else -(-outer * inner * channels // _PART)
        block = max(1, -(-outer // max(1, min(outer, parts))))
        blocks = max(1, -(-outer // block))
        strip = 1 if blocks > 1 else max(1, min(_RUN // max(inner, 1), groups * channels // 32, STRIPS))
        return Split(strip, blocks, block, groups * -(-channels // strip) * blocks)
    fitting = _CACHE // max(1, outer * itemsize * tensors)
    if fitting >= _WIDE or outer * channels * inner < _PART:
        strip = max(1, min(max(fitting, _LEAST), max(channels * inner // 4, _LEAST), COLUMNS) // inner)
        strip = strip if strip < _LEAST else strip // _LEAST * _LEAST
        return Split(strip, 1, outer, groups * -(-channels // strip))
    strip = max(1, COLUMNS // inner)
    block = max(1, _PART // (min(strip, channels) * inner))
    blocks = -(-outer // block)
    return Split(strip, blocks, block, groups * -(-channels // strip) * blocks)
