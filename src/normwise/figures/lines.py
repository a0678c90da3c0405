"""Lines over any quantity in one or several frames, ours beside a published curve for example."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from normwise.figures import endings, layout, limits, scales, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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


def title(info: Info) -> str:
    """The heading: what is drawn."""
    return info.title


def describe(info: Info) -> str:
    """The figure in words."""
    said = [f"{info.title}: {info.y.label} over {info.x.label}."]
    for frame in info.frames:
        said += [f"{frame.title}:"] if frame.title else []
        named: dict[str, list[Line]] = {}
        for line in frame.lines:
            named.setdefault(line.name, []).append(line)
        said += [_describe(name, lines, info) for name, lines in named.items()]
    return " ".join(said)


def _describe(name: str, lines: Sequence[Line], info: Info) -> str:
    """Where a line begins and ends; of several with one name, the mean of where they do."""
    there = [[(x, y) for x, y in zip(line.x, line.y, strict=True) if math.isfinite(y)] for line in lines]
    finite = [points for points in there if points]
    if not finite:
        return f"{name}: no finite value."
    ends = [_mean([points[place] for points in finite]) for place in (0, -1)]
    begins, stops = (f"{_write(y, info.y)} at {_write(x, info.x)}" for x, y in ends)
    return f"{name}{f' ({len(lines)} lines)' * (len(lines) > 1)}: {begins} to {stops}."


def _write(value: float, axis: Axis) -> str:
    return (
        f"{100 * value:.1f} %"
        if axis.percent
        else scales.plain(float(f"{value:.4g}" if abs(value) >= 1000 else f"{value:.3g}"))
    )


class Sizes(NamedTuple):
    """Lengths in inches, and how many frames stand in a row."""

    width: float
    height: float
    columns: int
    rows: int
    left: float
    right: float
    top: float
    wide: float
    tall: float
    gap: float
    between: float
    title: float

    def frame(self, place: int) -> tuple[float, float, float, float]:
        """Where a frame is, as shares of the figure."""
        row, column = divmod(place, self.columns)
        bottom = self.height - self.top - self.title - self.tall * (row + 1) - self.between * row
        left = self.left + column * (self.wide + self.gap)
        return left / self.width, bottom / self.height, self.wide / self.width, self.tall / self.height


def sizes(info: Info, width: float, key: Sequence[layout.Entry], names: float) -> Sizes:
    """The layout of a figure of a width with a key and with room for names at its right."""
    count = len(info.frames)
    columns = min(info.columns, count, 9 if width >= 6 else 2 if count > 4 else 1)
    rows = -(-count // columns)
    single, left, right = count == 1, layout.LEFT, max(layout.RIGHT, names)
    gap = 0.22 if columns > 2 else 0.42
    wide = (width - left - right - gap * (columns - 1)) / columns
    tall = _tall(width) if single else wide * (0.56 if columns == 1 else 0.72)
    title = 0.0 if not any(frame.title for frame in info.frames) else 0.2
    between = 0.12 + title if columns < count else 0.3
    top = layout.HEADING + layout.KEY_ROW * layout.key_rows(key, width) + layout.GAP + layout.LABEL_ROW
    height = top + title + rows * tall + (rows - 1) * between + layout.BOTTOM
    return Sizes(width, height, columns, rows, left, right, top, wide, tall, gap, between, title)


def _tall(width: float) -> float:
    """The height of the axes of a single frame."""
    return 3.1 if width >= 6 else layout.AXES_HEIGHT


def names(info: Info, width: float) -> list[endings.Ending]:
    """The names of the lines at their right ends; none where there are several frames, or where they do not fit.

    Of several lines with one name, the name stands at the mean of their ends.
    """
    if len(info.frames) > 1 or width < 6:
        return []
    found: dict[str, tuple[int, list[tuple[float, float]]]] = {}
    for line in info.frames[0].lines:
        end = _end(line, info)
        found.setdefault(line.name, (line.place, []))[1].extend([end] if end else [])
    ends = [(name, place, *_mean(points)) for name, (place, points) in found.items() if points]
    if len(ends) < len(found) or any(x < 0.6 for _, _, x, _ in ends):
        return []
    tall = _tall(width)
    return endings.endings([(name, place, x, tall * y) for name, place, x, y in ends], tall)


def _end(line: Line, info: Info) -> tuple[float, float] | None:
    """Where a line ends, as shares of the axes; None for a line without a finite value, or that ends in no order."""
    assert info.x.limits is not None
    low, high = info.x.limits
    there = [(x, y) for x, y in zip(line.x, line.y, strict=True) if low <= x <= high and math.isfinite(y)]
    if not there:
        return None
    x, y = there[-1] if line.look == "path" else max(there)
    return _share(x, info.x), _share(y, info.y)


def _share(value: float, axis: Axis) -> float:
    assert axis.limits is not None
    low, high = axis.limits
    if axis.log:
        value, low, high = (math.log(max(each, 1e-300)) for each in (value, low, high))
    return min(max((value - low) / (high - low), 0.0), 1.0)


def side(level: Level, frame: Frame, info: Info) -> Literal["left", "right"]:
    """At which end of a horizontal line its name stands: where the lines are farther from it."""
    assert info.x.limits is not None
    low, high = info.x.limits
    near: dict[str, list[float]] = {"left": [1.0], "right": [1.0]}
    for line in frame.lines:
        there = [(x, y) for x, y in zip(line.x, line.y, strict=True) if low <= x <= high and math.isfinite(y)]
        for x, y in there:
            across = _share(x, info.x)
            ends = ["left"] * (across < 0.35) + ["right"] * (across > 0.65)
            for end in ends:
                near[end].append(abs(_share(y, info.y) - _share(level.value, info.y)))
    return "left" if min(near["left"]) > min(near["right"]) + 0.05 else "right"


def _mean(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return fmean(x for x, _ in points), fmean(y for _, y in points)


@style.styled
def draw(info: Info, width: float = layout.WIDTH) -> Figure:
    """Draw the frames, every one with the same axes.

    Args:
        info: what is drawn.
        width: in inches. From 6 on, lines of a single frame have their names at their ends where there is room;
            below, frames stand in one column, or in two where there are more than four.
    """
    from normwise.figures.notebook import NotebookFigure

    ends = names(info, width)
    key = [] if ends else _key(info)
    size = sizes(info, width, key, endings.room(ends))
    figure = NotebookFigure(figsize=(size.width, size.height))
    layout.write_heading(figure, info.title)
    if key:
        layout.put_key(figure, key)
    look: dict[str, Any] = {"va": "bottom", "color": style.MUTED, "parse_math": False}
    label = layout.plain_text(info.y.label, round(60 * width / layout.WIDTH))
    figure.text(layout.MARGIN / width, 1 - (size.top - 0.07) / size.height, label, **look)
    middle = (size.left + (size.width - size.right)) / 2 / size.width
    where: dict[str, Any] = {"ha": "center", "va": "bottom", "parse_math": False}
    figure.text(middle, 0.09 / size.height, layout.plain_text(info.x.label, round(60 * width / layout.WIDTH)), **where)
    for place, frame in enumerate(info.frames):
        axes = figure.add_axes(size.frame(place))
        last = place + size.columns >= len(info.frames)
        _put_frame(axes, frame, info, size, first=place % size.columns == 0, last=last)
        for end in ends:
            _put_name(axes, end, size)
    return figure


def _put_frame(axes: Axes, frame: Frame, info: Info, size: Sizes, *, first: bool, last: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    assert info.y.limits is not None
    scales.y_axis(axes, info.y.limits, log=info.y.log, percent=info.y.percent)
    whole = all(float(x).is_integer() for each in info.frames for line in each.lines for x in line.x)
    most = max(2, int(size.wide / 0.62))
    reach = info.x.limits or (0.0, 1.0)
    scales.x_axis(axes, reach, log=info.x.log, percent=info.x.percent, most=most, whole=whole)
    if not info.y.log:
        axes.yaxis.set_major_locator(MaxNLocator(6 if size.tall > 1.2 else 4, steps=[1, 2, 2.5, 5, 10]))
    if frame.title:
        (title,) = layout.cut(frame.title, int((size.wide + 0.7 * size.gap) / 0.078))
        axes.set_title(title, loc="left", size=10, pad=3, parse_math=False)
    axes.tick_params(labelleft=first, labelbottom=last)
    if frame.contours is not None:
        each = frame.contours
        axes.contour(each.x, each.y, each.values, levels=each.levels, colors=[style.MUTED], linewidths=0.6, alpha=0.55)
    for level in frame.levels:
        layout.put_level(axes, level.value, level.name, side=side(level, frame, info))
    repeated = Counter(line.name for line in frame.lines)
    for line in frame.lines:
        _put_line(axes, line, info.y.limits, several=repeated[line.name] > 2)


def _put_line(axes: Axes, line: Line, reach: limits.Limits, *, several: bool) -> None:
    color, y = style.colour(line.place), limits.clamp(line.y, reach)
    if line.low:
        low, high = (limits.clamp(edge, reach) for edge in (line.low, line.high))
        axes.fill_between(line.x, low, high, color=color, alpha=0.18, linewidth=0)
    look = _look(line, len(line.x))
    if several and "linewidth" in look:
        look |= {"linewidth": 1.1, "alpha": 0.85}
    axes.plot(line.x, y, **look)
    alone = [place for place in range(len(y)) if _alone(line.y, place)]
    if alone and "marker" not in look:
        axes.plot(
            [line.x[each] for each in alone],
            [y[each] for each in alone],
            color=color,
            linestyle="none",
            marker="o",
            markersize=3,
        )
    if line.look == "path" and y:
        axes.plot(line.x[-1:], y[-1:], color=color, marker=style.marker(line.place), markersize=8)
    else:
        layout.put_beyond(axes, line.x, line.y, color)


def _alone(y: Sequence[float], place: int) -> bool:
    """Whether a value has no neighbor to be joined to."""
    return math.isfinite(y[place]) and not any(
        math.isfinite(y[each]) for each in (place - 1, place + 1) if 0 <= each < len(y)
    )


def _put_name(axes: Axes, end: endings.Ending, size: Sizes) -> None:
    color, edge = style.colour(end.place), 1 + 0.1 / size.wide
    share = end.at / size.tall
    if abs(end.at - end.end) > 0.06 or end.x < 0.97:
        place: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False, "linewidth": 0.7, "alpha": 0.7}
        axes.plot([end.x + 0.01, edge - 0.01], [end.end / size.tall, share], color=color, **place)
    look: dict[str, Any] = {"transform": axes.transAxes, "va": "center", "linespacing": 1.05, "parse_math": False}
    axes.text(edge, share, end.text, color=color, **look)


DASHES: dict[Look, Any] = {"solid": "-", "dashed": (0, (3.2, 1.6)), "dotted": (0, (1, 1.6))}


def _look(line: Line, points: int) -> dict[str, Any]:
    color, marker = style.colour(line.place), style.marker(line.place)
    if line.look == "points":
        return {"color": color, "linestyle": "none", "marker": marker, "markersize": 5}
    if line.look == "path":
        return {"color": color, "linewidth": 1.1, "marker": marker, "markersize": 3}
    if line.look == "published":
        ring: dict[str, Any] = {"marker": "o", "markersize": 4, "markerfacecolor": "none", "markeredgewidth": 0.9}
        return {"color": color, "linewidth": 0.8, "alpha": 0.9, "markevery": max(1, points // 24), **ring}
    return {"color": color, "linestyle": DASHES[line.look], "linewidth": 1.8}


def _key(info: Info) -> list[layout.Entry]:
    found: dict[str, layout.Entry] = {}
    for frame in info.frames:
        for line in frame.lines:
            found.setdefault(line.name, layout.Entry(line.name, _look(line, 1)))
    return list(found.values()) if len(found) > 1 else []
