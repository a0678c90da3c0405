"""How a tensor lies in memory, in the two forms that kernels read: planes and rows."""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
from torch import Tensor

FEW = 64  # positions up to which planes are read as rows

Dims = list[tuple[int, int]]  # (size, stride) of axes, outer first


class Layout(NamedTuple):
    """What a kernel needs to know of an input's shape.

    ``"planes"``: ``outer`` examples per group with ``inner`` positions side by side for each channel. ``"rows"``:
    ``outer`` rows per group, in each of which every channel has ``inner`` columns side by side.
    """

    form: str
    groups: int
    channels: int
    outer: int
    inner: int


class Strides(NamedTuple):
    """From one group, example (or row) and channel to the next, in elements."""

    group: int
    outer: int
    channel: int


NOWHERE = Strides(0, 0, 0)
"""Those of a tensor that is not there."""


class Reading(NamedTuple):
    """How the kernels read an input, and the memory format of what has its shape: that of torch's own layers."""

    layout: Layout
    strides: Strides
    format: torch.memory_format


def reading(x: Tensor, channel_dim: int, groups: int, masked: bool) -> Reading | None:
    """How the kernels read a tensor, or None where it must be copied first, to ``memory_format(x, channel_dim)``."""
    return reading_of(x.shape, x.stride(), channel_dim, groups, masked)


def memory_format(x: Tensor, channel_dim: int) -> torch.memory_format:
    """That of the output: as torch's layers keep it where the channels are on axis 1, contiguous otherwise."""
    return _format(tuple(x.shape), tuple(x.stride()), channel_dim)


@functools.lru_cache(maxsize=4096)
def reading_of(
    shape: tuple[int, ...], stride: tuple[int, ...], channel_dim: int, groups: int, masked: bool
) -> Reading | None:
    """``reading`` of a tensor of this shape and these strides."""
    kept = _format(shape, stride, channel_dim)
    if 0 in shape:
        return Reading(Layout("planes", groups, shape[channel_dim], 0, 0), Strides(0, 0, 0), kept)
    new = dense_strides(shape, kept)
    stride = tuple(
        t if n > 1 else d for n, t, d in zip(shape, stride, new, strict=True)
    )  # along one element, any will do
    found = _lie(shape, stride, channel_dim, groups, masked)
    dense = _lie(shape, new, channel_dim, groups, masked)
    return Reading(*found, kept) if found is not None and dense is not None and found[0] == dense[0] else None


def _format(shape: tuple[int, ...], stride: tuple[int, ...], channel_dim: int) -> torch.memory_format:
    """Channels last where the channel's stride is the least and the others fall as in that format."""
    if channel_dim != 1 or len(shape) not in (4, 5) or stride == dense_strides(shape, torch.contiguous_format):
        return torch.contiguous_format
    outer_first = [stride[0], *stride[2:], stride[1]]
    sizes = [shape[0], *shape[2:], shape[1]]
    falling = all(a >= b * n for a, b, n in zip(outer_first, outer_first[1:], sizes[1:], strict=False))
    last = torch.channels_last if len(shape) == 4 else torch.channels_last_3d
    return last if falling and stride[1] == 1 else torch.contiguous_format


def dense_strides(shape: tuple[int, ...], kept: torch.memory_format) -> tuple[int, ...]:
    """The strides of a new tensor in this memory format."""
    order = [*range(len(shape))]
    if kept is not torch.contiguous_format:
        order = [0, *order[2:], 1]
    stride, step = [0] * len(shape), 1
    for dim in reversed(order):
        stride[dim] = step
        step *= max(shape[dim], 1)
    return tuple(stride)


def _lie(
    shape: tuple[int, ...], stride: tuple[int, ...], channel_dim: int, groups: int, masked: bool
) -> tuple[Layout, Strides] | None:
    example = 1 if channel_dim == 0 else 0
    sizes = [n // groups if dim == example else n for dim, n in enumerate(shape)]
    dims = [(n, t) for dim, (n, t) in enumerate(zip(sizes, stride, strict=True)) if dim != channel_dim]
    found = _form(_merged(dims), dims, shape[channel_dim], stride[channel_dim], masked)
    if found is None:
        return None
    form, (outer, step), inner = found
    strides = Strides(sizes[example] * stride[example], step, stride[channel_dim] if form == "planes" else inner)
    return Layout(form, groups, shape[channel_dim], outer, inner), strides


def _merged(dims: Dims) -> Dims:
    """The same places in the same order, in as few axes as possible."""
    merged: Dims = []
    for size, stride in dims:
        if size == 1:
            continue
        if merged and merged[-1][1] == size * stride:
            merged[-1] = (merged[-1][0] * size, stride)
        else:
            merged.append((size, stride))
    return merged


def _form(
    merged: Dims, dims: Dims, channels: int, channel_stride: int, masked: bool
) -> tuple[str, tuple[int, int], int] | None:
    """Form, outer axis and number of inner positions."""
    if merged and merged[-1][1] == 1 and len(merged) <= 2:
        inner = merged[-1][0]
        outer = merged[0] if len(merged) == 2 else (1, inner)
        if (
            outer[0] == 1 and dims[0][0] > 1
        ):  # examples next to each other still are examples, so that work can be split
            inner //= dims[0][0]
            outer = (dims[0][0], inner)
        few = inner <= FEW and channel_stride == inner and outer[0] > 1 and not masked
        return ("rows" if few else "planes"), outer, inner
    if (channel_stride == 1 or channels == 1) and len(merged) <= 1:
        return "rows", merged[0] if merged else (1, channels), 1
    if not merged:  # a single value per group and channel
        return "planes", (1, 1), 1
    return None
