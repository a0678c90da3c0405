"""The layout of a figure of one panel: heading, key, axes; lengths in inches."""

from __future__ import annotations

import math
import textwrap
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from normwise.figures import limits, style
from normwise.figures.series import Cross

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend
    from matplotlib.lines import Line2D

WIDTH = 4.8
MARGIN = 0.1
LEFT, RIGHT, BOTTOM = 0.7, 0.32, 0.54
AXES_HEIGHT = 2.26
HEADING, KEY_ROW, GAP, LABEL_ROW = 0.3, 0.2, 0.1, 0.2
SHORT = 20
HEADING_ID, NOTES_ID = "heading", "notes"


class Entry(NamedTuple):
    """One entry of a key: a label and the properties of its line."""

    label: str
    line: dict[str, Any]


def plain_text(text: str, most: int = 46) -> str:
    """The text for one line: control characters as spaces, the middle of a long one as an ellipsis."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return line if len(line) <= most else f"{line[: most - 15]}…{line[-14:]}"


def cut(text: str, letters: int, rows: int = 1) -> list[str]:
    """A text in at most so many rows of at most so many letters; what does not fit ends with an ellipsis."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    found = textwrap.wrap(plain, max(letters, 2), max_lines=rows, placeholder="…")
    return found or [""]


def ems(text: str) -> float:
    """About how wide a text is, in units of its size."""
    return sum(1.0 if unicodedata.east_asian_width(letter) in "WF" else 0.64 for letter in text)


def _columns(entries: Sequence[Entry], width: float = WIDTH) -> int:
    widest = max(ems(plain_text(entry.label)) for entry in entries) * 10 + 36
    return max(1, min(len(entries), int((width - 0.2) * 72 / widest)))


def _fits(heading: str, notes: Sequence[Entry]) -> bool:
    """Whether the notes have room at the right of the heading."""
    wide = 9 * ems(plain_text(heading)) + sum(9 * ems(note.label) + 36 for note in notes)
    return wide - 4 < (WIDTH - 2 * MARGIN) * 72


def _shortened(entries: Sequence[Entry]) -> Sequence[Entry]:
    """Labels short enough for two columns where there are many, unless two became the same."""
    short = [entry._replace(label=plain_text(entry.label, SHORT)) for entry in entries]
    many = len(entries) > 3 and len({entry.label for entry in short}) == len({entry.label for entry in entries})
    return short if many else entries


def panel(
    heading: str,
    entries: Sequence[Entry] = (),
    notes: Sequence[Entry] = (),
    *,
    label: str = "",
    axes_height: float = AXES_HEIGHT,
) -> tuple[Figure, Axes]:
    """A figure of one panel: heading with notes at its right, the key below it, then the axes.

    The axes always have the same size; the figure grows with the rows of the key.

    Args:
        heading: what is drawn.
        entries: the key.
        notes: the part of the key that stands at the right of the heading.
        label: of the y axis, written above it.
        axes_height: of the axes alone.
    """
    from normwise.figures.notebook import NotebookFigure

    if entries and not _fits(heading, notes):
        entries, notes = [*entries, *notes], ()
    entries = _shortened(entries)
    columns = _columns(entries) if entries else 1
    rows = -(-len(entries) // columns)
    top = HEADING + rows * KEY_ROW + GAP + (LABEL_ROW if label else 0)
    height = top + axes_height + BOTTOM
    figure = NotebookFigure(figsize=(WIDTH, height))
    size = (LEFT / WIDTH, BOTTOM / height, (WIDTH - LEFT - RIGHT) / WIDTH, axes_height / height)
    axes = figure.add_axes(size)
    write_heading(figure, heading)
    if label:
        look: dict[str, Any] = {"va": "bottom", "color": style.MUTED, "parse_math": False}
        figure.text(MARGIN / WIDTH, 1 - (top - 0.07) / height, plain_text(label, 60), **look)
    if notes:
        corner = (1 - MARGIN / WIDTH, 1 - 0.08 / height)
        _key(figure, notes, columns=len(notes), loc="upper right", bbox_to_anchor=corner).set_gid(NOTES_ID)
    if entries:
        corner = (MARGIN / WIDTH, 1 - (HEADING + 0.02) / height)
        _key(figure, entries, columns=columns, loc="upper left", bbox_to_anchor=corner)
    return figure, axes


def write_heading(figure: Figure, text: str) -> None:
    """The name of what is drawn, at the upper left."""
    width, height = figure.get_size_inches()
    look: dict[str, Any] = {"va": "top", "size": 11, "weight": "bold", "parse_math": False, "gid": HEADING_ID}
    figure.text(MARGIN / width, 1 - 0.07 / height, plain_text(text, max(46, round(46 * width / WIDTH))), **look)


def put_key(figure: Figure, entries: Sequence[Entry]) -> None:
    """The key below the heading; see ``key_rows``."""
    width, height = figure.get_size_inches()
    corner = (MARGIN / width, 1 - (HEADING + 0.02) / height)
    _key(figure, entries, columns=_columns(entries, width), loc="upper left", bbox_to_anchor=corner)


def key_rows(entries: Sequence[Entry], width: float) -> int:
    """How many rows a key takes, each ``KEY_ROW`` high."""
    return -(-len(entries) // _columns(entries, width)) if entries else 0


def _key(figure: Figure, entries: Sequence[Entry], *, columns: int, **corner: Any) -> Legend:
    order = [entry for column in range(columns) for entry in entries[column::columns]]
    handles, labels = [_line(entry) for entry in order], ["label"] * len(order)
    spacing: dict[str, Any] = {"handlelength": 1.9, "handletextpad": 0.5, "columnspacing": 1.2, "labelspacing": 0.3}
    bare: dict[str, Any] = {"frameon": False, "borderpad": 0, "borderaxespad": 0}
    legend = figure.legend(handles, labels, ncols=columns, **corner, **bare, **spacing)
    for text, entry in zip(legend.get_texts(), order, strict=True):
        text.set_parse_math(False)
        text.set_text(plain_text(entry.label))
    return legend


def _line(entry: Entry) -> Line2D:
    from matplotlib.lines import Line2D

    return Line2D([], [], **entry.line)


def cross(colour: str) -> dict[str, Any]:
    """The mark of a run that diverged."""
    return {
        "color": colour, "linestyle": "none", "marker": "x", "markersize": 9, "markeredgewidth": 2.6, "clip_on": False
    }  # fmt: skip


def put_cross(axes: Axes, x: float, y: float, colour: str) -> None:
    """Mark where a run diverged; at the foot of the axes where its value, nan, is not known."""
    known = math.isfinite(y)
    transform = axes.transData if known else axes.get_xaxis_transform()
    axes.plot([x], [y if known else 0.0], transform=transform, **cross(colour), zorder=4)


def put_level(axes: Axes, value: float | None, name: str, side: Literal["left", "right"] = "right") -> None:
    """A dotted line to compare with, with its name at one end; none where it lies beyond the axes."""
    low, high = axes.get_ylim()
    if value is None or not low < value < high:
        return
    axes.axhline(value, color=style.MUTED, linestyle=(0, (1, 2)), linewidth=1.0, zorder=1)
    right = side == "right"
    place: dict[str, Any] = {
        "xytext": (-2 if right else 3, 2),
        "textcoords": "offset points",
        "ha": side,
        "va": "bottom",
    }
    at = (1.0 if right else 0.0, value)
    axes.annotate(name, at, xycoords=("axes fraction", "data"), color=style.MUTED, size=10, **place)


def put_rings(axes: Axes, points: Sequence[tuple[float, float]], colour: str) -> None:
    """A quiet ring around points of a line."""
    low, high = axes.get_ylim()
    there = [(x, y) for x, y in points if low <= y <= high]
    look: dict[str, Any] = {
        "linestyle": "none",
        "marker": "o",
        "markersize": 9,
        "markerfacecolor": "none",
        "alpha": 0.8,
    }
    if there:
        axes.plot(*zip(*there, strict=True), color=colour, markeredgewidth=1.3, clip_on=False, **look)


def put_crosses(axes: Axes, crosses: Sequence[Cross], reach: limits.Limits, colour: str) -> None:
    """Mark where runs diverged, beyond the limits of the y axis at its edge."""
    for cross in crosses:
        put_cross(axes, cross.step, limits.clamp([cross.value], reach)[0], colour)


def put_beyond(axes: Axes, x: Sequence[float], y: Sequence[float], colour: str) -> None:
    """Mark with a triangle at the edge of the axes where a line first leaves its limits, at the top or at the foot."""
    low, high = axes.get_ylim()
    for edge, marker, there in ((0.0, "v", [v < low for v in y]), (1.0, "^", [v > high for v in y])):
        first = [x[place] for place, beyond in enumerate(there) if beyond and not (place and there[place - 1])]
        look: dict[str, Any] = {"linestyle": "none", "marker": marker, "markersize": 6, "clip_on": False, "zorder": 4}
        if first:
            axes.plot(first, [edge] * len(first), transform=axes.get_xaxis_transform(), color=colour, **look)
