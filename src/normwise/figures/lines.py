"""Lines over any quantity in one or several frames, ours beside a published curve for example."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from normwise.figures import layout, limits, scales, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Look = Literal["solid", "dashed", "dotted", "points", "published"]
"""``points`` has markers and no line; ``published`` is a curve of the source, drawn thin and dark with open rings."""


class Line(NamedTuple):
    """One line.

    Attributes:
        name: what it is; written at its right end, or in the key where there is no room. Lines with the same name, in
            one frame or in several, share an entry.
        x: positions.
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


class Frame(NamedTuple):
    """One pair of axes.

    Attributes:
        title: what tells it from the others; empty where there is one.
        lines: what is drawn.
        levels: horizontal lines.
    """

    title: str
    lines: Sequence[Line]
    levels: Sequence[Level] = ()


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


def title(info: Info) -> str:
    """The heading: what is drawn."""
    return info.title


def describe(info: Info) -> str:
    """The figure in words."""
    said = [f"{info.title}: {info.y.label} over {info.x.label}."]
    for frame in info.frames:
        said += [f"{frame.title}:"] if frame.title else []
        said += [_describe(line, info) for line in frame.lines]
    return " ".join(said)


def _describe(line: Line, info: Info) -> str:
    there = [(x, y) for x, y in zip(line.x, line.y, strict=True) if math.isfinite(y)]
    if not there:
        return f"{line.name}: no finite value."
    (first, start), (last, end) = there[0], there[-1]
    begins, ends = (f"{_write(y, info.y)} at {scales.plain(x)}" for x, y in ((first, start), (last, end)))
    return f"{line.name}: {begins} to {ends}."


def _write(value: float, axis: Axis) -> str:
    return f"{100 * value:.1f} %" if axis.percent else scales.plain(float(f"{value:.3g}"))


@style.styled
def draw(info: Info) -> Figure:
    """Draw the frames, every one with the same axes."""
    from normwise.figures.notebook import NotebookFigure

    single = len(info.frames) == 1
    width = layout.WIDTH if info.columns <= 1 else 4.4 * min(info.columns, 2) + 0.4
    key = _key(info)
    rows = -(-len(info.frames) // info.columns)
    tall = 2.26 if single else 1.9 if info.columns <= 2 else 1.25
    top = layout.HEADING + layout.KEY_ROW * layout.key_rows(key, width) + layout.GAP + layout.LABEL_ROW
    between, left, right = (0.3 if info.columns > 2 else 0.36), layout.LEFT, layout.RIGHT
    height = top + rows * tall + (rows - 1) * between + (0 if single else 0.2) + layout.BOTTOM
    figure = NotebookFigure(figsize=(width, height))
    layout.write_heading(figure, info.title)
    if key:
        layout.put_key(figure, key)
    look: dict[str, Any] = {"va": "bottom", "color": style.MUTED, "parse_math": False}
    figure.text(layout.MARGIN / width, 1 - (top - 0.07) / height, layout.plain_text(info.y.label, 60), **look)
    gap = 0.25
    wide = (width - left - right - gap * (info.columns - 1)) / info.columns
    for place, frame in enumerate(info.frames):
        row, column = divmod(place, info.columns)
        bottom = height - top - (0 if single else 0.2) - tall * (row + 1) - between * row
        size = ((left + column * (wide + gap)) / width, bottom / height, wide / width, tall / height)
        axes = figure.add_axes(size)
        last = place + info.columns >= len(info.frames)
        _put_frame(axes, frame, info, first=column == 0, last=last)
    return figure


def _put_frame(axes: Axes, frame: Frame, info: Info, *, first: bool, last: bool) -> None:
    assert info.y.limits is not None
    scales.y_axis(axes, info.y.limits, log=info.y.log, percent=info.y.percent)
    _x_axis(axes, info.x)
    if frame.title:
        axes.set_title(frame.title, loc="left", size=10, pad=3, parse_math=False)
    if not first:
        axes.tick_params(labelleft=False)
    if not last:
        axes.tick_params(labelbottom=False)
    else:
        axes.set_xlabel(info.x.label, parse_math=False)
    for level in frame.levels:
        layout.put_level(axes, level.value, level.name)
    for line in frame.lines:
        color = _color(line)
        if line.low:
            low, high = (limits.clamp(edge, info.y.limits) for edge in (line.low, line.high))
            axes.fill_between(line.x, low, high, color=color, alpha=0.18, linewidth=0)
        axes.plot(line.x, limits.clamp(line.y, info.y.limits), **_look(line, len(line.x)))


def _x_axis(axes: Axes, axis: Axis) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    assert axis.limits is not None
    axes.grid(visible=False, axis="x")
    if axis.log:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(numticks=6))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlim(*axis.limits)
    write = (lambda value, _: f"{100 * value + 0.0:.4g} %") if axis.percent else (lambda value, _: scales.plain(value))
    axes.xaxis.set_major_formatter(FuncFormatter(write))


def _color(line: Line) -> str:
    return style.colour(line.place)


DASHES: dict[Look, Any] = {"solid": "-", "dashed": (0, (3.2, 1.6)), "dotted": (0, (1, 1.6))}


def _look(line: Line, points: int) -> dict[str, Any]:
    if line.look == "points":
        return {"color": _color(line), "linestyle": "none", "marker": style.marker(line.place), "markersize": 5}
    if line.look == "published":
        ring: dict[str, Any] = {"marker": "o", "markersize": 3.5, "markerfacecolor": "none", "markeredgewidth": 0.9}
        return {"color": _color(line), "linewidth": 0.8, "alpha": 0.85, "markevery": max(1, points // 40), **ring}
    return {"color": _color(line), "linestyle": DASHES[line.look], "linewidth": 1.8}


def _key(info: Info) -> list[layout.Entry]:
    found: dict[str, layout.Entry] = {}
    for frame in info.frames:
        for line in frame.lines:
            found.setdefault(line.name, layout.Entry(line.name, _look(line, 1)))
    return list(found.values()) if len(found) > 1 else []
