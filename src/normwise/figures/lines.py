"""Lines over any quantity in one or several frames, ours beside a published curve for example."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from normwise.figures import endings, layout, limits, scales, style
from normwise.figures.line_data import Axis, Contours, Frame, Info, Level, Line, Look, info, mean
from normwise.figures.line_layout import Sizes, names, side, sizes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Axis", "Contours", "Frame", "Info", "Level", "Line", "Look", "describe", "draw", "info", "title"]


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
    ends = [mean([points[place] for points in finite]) for place in (0, -1)]
    begins, stops = (f"{_write(y, info.y)} at {_write(x, info.x)}" for x, y in ends)
    return f"{name}{f' ({len(lines)} lines)' * (len(lines) > 1)}: {begins} to {stops}."


def _write(value: float, axis: Axis) -> str:
    return (
        f"{100 * value:.1f} %"
        if axis.percent
        else scales.plain(float(f"{value:.4g}" if abs(value) >= 1000 else f"{value:.3g}"))
    )


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
    across = info.x.limits or (0.0, 1.0)
    scales.x_axis(axes, across, log=info.x.log, percent=info.x.percent, most=most, whole=whole)
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


def _put_line(axes: Axes, line: Line, bounds: limits.Limits, *, several: bool) -> None:
    color, y = style.colour(line.place), limits.clamp(line.y, bounds)
    if line.low:
        low, high = (limits.clamp(edge, bounds) for edge in (line.low, line.high))
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
