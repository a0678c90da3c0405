"""A line chart as plain data, for a page that draws it itself."""

from __future__ import annotations

from typing import Literal, NamedTuple

Numbers = tuple[float, ...]
First = Literal["highest", "lowest", ""]


class Line(NamedTuple):
    """One line.

    Attributes:
        arm: the place of its arm in the study.
        name: what tells it from the lines of the same part: the arm's or the layer's name.
        part: what tells it from the lines of the same name, for example ``test`` or ``train``; else empty.
        colour: as on white.
        x: where it was measured, steps unless the chart has ticks.
        y: the values, nan where there is a gap.
        low: the lower edge of the band around it; empty where there is none.
        high: the upper edge.
        seeds: the lines of the single runs, each with its own x and y.
        dashed: whether it is dashed.
        marker: the place of the marker that it has besides its colour; None for none.
        best: the x of the best step of each run, in the order of ``seeds``; None where a run has none.
        notes: what is said of each value besides; empty where there is nothing to say.
        joined: whether there is a line from point to point.
    """

    arm: int
    name: str
    part: str
    colour: str
    x: tuple[float, ...]
    y: Numbers
    low: Numbers = ()
    high: Numbers = ()
    seeds: tuple[tuple[Numbers, Numbers], ...] = ()
    dashed: bool = False
    marker: int | None = None
    best: tuple[float | None, ...] = ()
    notes: tuple[str, ...] = ()
    joined: bool = True


class Cross(NamedTuple):
    """Where a run of an arm diverged; y is nan where its last value is not known."""

    arm: int
    x: float
    y: float


class Chart(NamedTuple):
    """Lines with their axes.

    Attributes:
        label: of the y axis.
        percent: whether values are shares that are written in percent.
        log: whether the y axis is logarithmic.
        limits: of the y axis.
        lines: what is drawn.
        crosses: the runs that diverged.
        ticks: every position on an x axis that is not training time, with its label; None for training steps.
        x_label: of that axis.
        level: a value to compare with, that of guessing; None for none.
        first: which values a list of them begins with; empty where none is better than another.
        spread: whether the bands are a spread over units, not over seeds, and shown of one arm if there are many.
    """

    label: str
    percent: bool
    log: bool
    limits: tuple[float, float]
    lines: tuple[Line, ...]
    crosses: tuple[Cross, ...] = ()
    ticks: tuple[tuple[float, str], ...] | None = None
    x_label: str = ""
    level: float | None = None
    first: First = ""
    spread: bool = False
