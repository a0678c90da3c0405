"""A value with its interval per row: what treatments gained, or how far each layer is off."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from normwise.figures import layout, limits, scales, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Kind = Literal["plain", "better", "same", "worse"]

KEY: dict[Kind, str] = {"better": "helped", "same": "within noise", "worse": "worse"}
LETTER = 0.084
ROW, LOW_ROW = 0.36, 0.2  # inches: of a few rows, and of many
NAME, WIDE_NAME = 22, 34  # letters of a line of a name, and in a figure of 6 inches or more


class Row(NamedTuple):
    """One row.

    Attributes:
        name: at its left; `` + `` begins a second line.
        value: drawn as a large dot; nan for none.
        margin: half the width of the interval around it; nan for none.
        singles: small dots: the runs of which it is the mean.
        kind: how it compares, which sets its color and whether its dot is filled.
        note: what is written at the right of it.
    """

    name: str
    value: float
    margin: float = math.nan
    singles: tuple[float, ...] = ()
    kind: Kind = "plain"
    note: str = ""


class Level(NamedTuple):
    """A vertical line: where, what it is, and whether it is dotted."""

    value: float
    name: str
    dotted: bool = False


class Info(NamedTuple):
    """What is drawn.

    Attributes:
        title: the heading.
        label: of the x axis.
        rows: from top to bottom.
        levels: vertical lines.
        percent: whether values are shares that are written in percent.
        log: whether the x axis is logarithmic.
        limits: of the x axis.
        small: what a small dot is; empty where there are none.
        large: what a large dot is; empty where that is plain.
    """

    title: str
    label: str
    rows: tuple[Row, ...]
    levels: tuple[Level, ...]
    percent: bool
    log: bool
    limits: limits.Limits
    small: str = ""
    large: str = ""

    def write(self, value: float) -> str:
        """A value in a sentence."""
        return f"{100 * value:.1f} %" if self.percent else scales.plain(float(f"{value:.3g}"))


def info(
    title: str,
    label: str,
    rows: Sequence[Row],
    levels: Sequence[Level] = (),
    *,
    percent: bool = False,
    zero: bool = False,
    small: str = "",
    large: str = "",
) -> Info:
    """The rows with an axis that fits them.

    Args:
        title: the heading.
        label: of the x axis.
        rows: from top to bottom.
        levels: vertical lines.
        percent: whether values are shares that are written in percent.
        zero: whether values are amounts, on an axis from 0; it is logarithmic where they span more than two hundred.
        small: what a small dot is.
        large: what a large dot is.
    """
    values = [value for row in rows for value in (row.value, *row.singles)] + [level.value for level in levels]
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    log = zero and min(finite) > 0 and max(finite) > 200 * min(finite)
    if log:
        reach = limits.positive(finite)
    elif zero:
        reach = (0.0, 1.08 * max(finite) or 1.0)
    elif percent:
        reach = limits.shares(finite)
    else:
        reach = limits.middle(finite)
    return Info(title, label, tuple(rows), tuple(levels), percent, log, reach, small, large)


def title(info: Info) -> str:
    """The heading: what is drawn."""
    return info.title


def describe(info: Info) -> str:
    """The figure in words."""
    said = [f"{info.title} ({info.label})."]
    named = {row.name for row in info.rows}
    said += [f"{level.name}: {info.write(level.value)}." for level in info.levels if level.name not in named]
    shown = info.rows if len(info.rows) <= 12 else sorted(info.rows, key=_size)[:5]
    said += [f"The {len(shown)} largest of {len(info.rows)}:"] if len(shown) < len(info.rows) else []
    return " ".join([*said, *(_describe(row, info) for row in shown)])


def _size(row: Row) -> float:
    return -row.value if math.isfinite(row.value) else 0.0


def _describe(row: Row, info: Info) -> str:
    if not math.isfinite(row.value):
        return f"{row.name}: no finite value."
    margin = f" ± {info.write(row.margin)}" if math.isfinite(row.margin) else ""
    kind = f", {KEY[row.kind]}" if row.kind in KEY else ""
    return f"{row.name}: {info.write(row.value)}{margin}{kind}."


@style.styled
def draw(info: Info, width: float = layout.WIDTH) -> Figure:
    """Draw a row per name: the value as a large dot with its interval, single runs as small dots below it.

    Args:
        info: what is drawn.
        width: in inches; the narrower, the larger the text is on a page.
    """
    from normwise.figures.notebook import NotebookFigure

    count = len(info.rows)
    row = ROW if count <= 16 else LOW_ROW
    most = WIDE_NAME if width >= 6 else NAME
    names = [_lines(each.name, most, two=row == ROW) for each in info.rows]
    widest = max((layout.ems(line) / 0.64 for name in names for line in name.split("\n")), default=1)
    left = layout.MARGIN + 0.12 + LETTER * widest
    noted = max((len(each.note) for each in info.rows), default=0)
    right = 0.25 + LETTER * noted
    key = _key(info)
    top = layout.HEADING + layout.KEY_ROW * layout.key_rows(key, width) + 0.12
    tall = row * count + 0.1
    height = top + tall + layout.BOTTOM
    figure = NotebookFigure(figsize=(width, height))
    layout.write_heading(figure, info.title)
    axes = figure.add_axes((left / width, layout.BOTTOM / height, (width - left - right) / width, tall / height))
    if key:
        layout.put_key(figure, key)
    _axes(axes, info)
    for level in info.levels:
        axes.axvline(level.value, zorder=1, **_level(level))
    for place, each in enumerate(info.rows):
        _put_row(axes, each, place, info)
    axes.set_yticks(range(count), names, parse_math=False, linespacing=1.0)
    return figure


def _lines(name: str, most: int, *, two: bool) -> str:
    parts = name.split(" + ", 1)
    if len(parts) == 1 or not two:
        return layout.plain_text(name, most)
    return "\n".join((layout.plain_text(parts[0], most), layout.plain_text(f"+ {parts[1]}", most)))


def _axes(axes: Axes, info: Info) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    axes.set(ylim=(len(info.rows) - 0.45, -0.55), xlabel=info.label)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    if info.log:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(numticks=5))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_xlim(*info.limits)
    write = (lambda value, _: f"{100 * value + 0.0:.4g} %") if info.percent else (lambda value, _: scales.plain(value))
    axes.xaxis.set_major_formatter(FuncFormatter(write))


def _level(level: Level) -> dict[str, Any]:
    return {"color": style.INK, "linewidth": 1.2, "linestyle": (0, (1, 2)) if level.dotted else "-"}


COLORS: dict[Kind, str] = {
    "plain": style.colour(1),
    "better": style.colour(2),
    "same": style.MUTED,
    "worse": style.colour(0),
}
MARKERS: dict[Kind, dict[str, Any]] = {
    "plain": {"marker": "o"},
    "better": {"marker": "o"},
    "same": {"marker": "o", "markerfacecolor": "none"},
    "worse": {"marker": "X", "markersize": 8},
}


def _look(kind: Kind) -> dict[str, Any]:
    look = {"color": COLORS[kind], "linestyle": "none", "markersize": 7, "markeredgewidth": 1.5}
    return look | MARKERS[kind]


def _put_row(axes: Axes, row: Row, place: int, info: Info) -> None:
    low, high = info.limits
    color = COLORS[row.kind]
    if math.isfinite(row.margin) and math.isfinite(row.value):
        ends = limits.clamp([row.value - row.margin, row.value + row.margin], info.limits)
        axes.plot(ends, [place, place], color=color, linewidth=1.4, solid_capstyle="butt")
    small = [value for value in row.singles if math.isfinite(value)]
    below = 0.26 if len(info.rows) <= 16 else 0.0
    if small:
        dots: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 3, "alpha": 0.75, "clip_on": False}
        axes.plot(limits.clamp(small, info.limits), [place + below] * len(small), color=color, **dots)
    if low <= row.value <= high:
        axes.plot([row.value], [place], clip_on=False, zorder=3, **_look(row.kind))
    if row.note:
        at: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "xytext": (6, 0), "textcoords": "offset points"}
        axes.annotate(row.note, (1, place), va="center_baseline", annotation_clip=False, parse_math=False, **at)


def _key(info: Info) -> list[layout.Entry]:
    there = {row.kind for row in info.rows}
    key = [layout.Entry(name, _look(kind)) for kind, name in KEY.items() if kind in there]
    if info.large:
        key.append(layout.Entry(info.large, _look("plain")))
    if info.small and any(row.singles for row in info.rows):
        look = {"color": style.INK, "linestyle": "none", "marker": "o", "markersize": 3}
        key.append(layout.Entry(info.small, look))
    return [*key, *(layout.Entry(level.name, _level(level)) for level in info.levels)]
