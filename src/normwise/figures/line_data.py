"""What a figure of lines is made of, as plain data: lines, axes, levels, frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Literal, NamedTuple

Look = Literal["solid", "dashed", "dotted", "points", "published", "path"]
"""``points`` has markers and no line; ``published`` is a curve of the source, thin with open rings; ``path`` has a
small marker at each point and a large one at the last."""


class Line(NamedTuple):
    """One line.

    Attributes:
        name: what it is; written at its right end, or in the key where there is no room. Lines with the same name, in
            one frame or in several, share an entry.
        x: positions, in any order: a path may turn back.
        y: values; nan where there is a gap.
        place: sets its color, as the place of an arm does.
        look: how it is drawn.
        low: the lower edge of the band around it; empty for none.
        high: the upper edge.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    place: int = 0
    look: Look = "solid"
    low: Sequence[float] = ()
    high: Sequence[float] = ()


class Axis(NamedTuple):
    """An axis.

    Attributes:
        label: what it is, with its unit.
        log: whether it is logarithmic.
        percent: whether values are shares that are written in percent.
        limits: from where to where; None fits the values.
    """

    label: str
    log: bool = False
    percent: bool = False
    limits: tuple[float, float] | None = None


class Level(NamedTuple):
    """A horizontal line to compare with, and its name."""

    value: float
    name: str


class Contours(NamedTuple):
    """A landscape behind the lines: the values at each y (a row) and x (a column), and the levels that are drawn."""

    x: Sequence[float]
    y: Sequence[float]
    values: Sequence[Sequence[float]]
    levels: Sequence[float]


class Frame(NamedTuple):
    """One pair of axes.

    Attributes:
        title: what tells it from the others; empty where there is one.
        lines: what is drawn.
        levels: horizontal lines.
        contours: a landscape behind them; None for none.
    """

    title: str
    lines: Sequence[Line]
    levels: Sequence[Level] = ()
    contours: Contours | None = None


class Info(NamedTuple):
    """What is drawn: frames with the same axes, in rows of ``columns``."""

    title: str
    x: Axis
    y: Axis
    frames: tuple[Frame, ...]
    columns: int = 1


def info(title: str, x: Axis, y: Axis, frames: Sequence[Frame] | Sequence[Line], columns: int | None = None) -> Info:
    """The frames with axes that fit all of them.

    Args:
        title: the heading.
        x: the horizontal axis.
        y: the vertical axis.
        frames: frames, or the lines of a single one.
        columns: frames in a row; by default up to two, or four where there are more than six.
    """
    lines = [each for each in frames if isinstance(each, Line)]
    whole = (Frame("", lines),) if lines else tuple(each for each in frames if isinstance(each, Frame))
    wide = columns or (1 if len(whole) == 1 else 2 if len(whole) <= 6 else 4)
    drawn = [line for frame in whole for line in frame.lines]
    across = [value for line in drawn for value in line.x]
    up = [value for line in drawn for value in (*line.y, *line.low, *line.high)]
    up += [level.value for frame in whole for level in frame.levels]
    for frame in whole:
        across += frame.contours.x if frame.contours else ()
        up += frame.contours.y if frame.contours else ()
    return Info(title, _fitted(x, across, margin=0.02), _fitted(y, up, margin=0.06), whole, wide)


def _fitted(axis: Axis, values: Sequence[float], margin: float) -> Axis:
    if axis.limits is not None:
        return axis
    finite = [value for value in values if math.isfinite(value) and (not axis.log or value > 0)]
    if not finite:
        return axis._replace(limits=(0.1, 1.0))
    low, high = min(finite), max(finite)
    if axis.log:
        room = (high / low) ** margin if high > low else 2.0
        return axis._replace(limits=(low / room, high * room))
    room = margin * (high - low) or 0.1 * abs(high) or 0.5
    return axis._replace(limits=(low - room, high + room))


def share(value: float, axis: Axis) -> float:
    """Where a value lies on an axis, from 0 to 1; beyond its limits, at the nearer end."""
    assert axis.limits is not None
    low, high = axis.limits
    if axis.log:
        value, low, high = (math.log(max(each, 1e-300)) for each in (value, low, high))
    return min(max((value - low) / (high - low), 0.0), 1.0)


def mean(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The point in the middle of several."""
    return fmean(x for x, _ in points), fmean(y for _, y in points)
