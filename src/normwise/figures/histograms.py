"""Distributions as small multiples: a row for each setting, a column for each layer."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from normwise.figures import layout, scales, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Cell(NamedTuple):
    """One histogram.

    Attributes:
        edges: one more than there are counts.
        counts: how many values, or which share, lie between two edges.
        note: a few letters in its corner, for example its standard deviation.
    """

    edges: Sequence[float]
    counts: Sequence[float]
    note: str = ""


class Row(NamedTuple):
    """Histograms of one setting, in the order of the columns; ``place`` sets their color."""

    name: str
    cells: Sequence[Cell]
    place: int = 1


class Info(NamedTuple):
    """What is drawn: every cell with the same horizontal axis, and a vertical one that fits it."""

    title: str
    label: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def info(title: str, label: str, columns: Sequence[str], rows: Sequence[Row]) -> Info:
    """The rows as they are; ``label`` is that of the horizontal axis."""
    return Info(title, label, tuple(columns), tuple(rows))


def title(info: Info) -> str:
    """The heading: what is drawn."""
    return info.title


def describe(info: Info) -> str:
    """The figure in words: where most of each row's last histogram lies."""
    return " ".join([f"{info.title} ({info.label}).", *(_describe(row, info) for row in info.rows)])


def _describe(row: Row, info: Info) -> str:
    if not row.cells:
        return f"{row.name}: nothing."
    cell = row.cells[-1]
    total = sum(cell.counts)
    if not total or not math.isfinite(total):
        return f"{row.name}: no value in {info.columns[-1]}."
    most = max(range(len(cell.counts)), key=lambda place: cell.counts[place])
    low, high = (scales.plain(float(f"{edge:.3g}")) for edge in cell.edges[most : most + 2])
    share = 100 * cell.counts[most] / total
    return f"{row.name}: in {info.columns[-1]} {share:.0f} % lie between {low} and {high}."


NAME = 18  # letters of a line of a row's name
LETTER = 0.084  # inches
FEWEST, MOST, GAP = 0.62, 2.4, 0.2  # inches: the least and greatest width of a histogram, and between two


def blocks(info: Info, width: float) -> list[range]:
    """The columns of each block of rows; where they have no room beside each other, there are several blocks."""
    count = max(len(info.columns), 1)
    most = max(1, int((width - _left(info) - 0.1) / (FEWEST + GAP)))
    number = -(-count // most)
    each = -(-count // number)
    return [range(start, min(start + each, count)) for start in range(0, count, each)]


def _left(info: Info) -> float:
    lines = [line for row in info.rows for line in _name(row.name)]
    return layout.MARGIN + 0.14 + LETTER * max((layout.ems(line) / 0.64 for line in lines), default=0.0)


def _name(name: str) -> list[str]:
    return textwrap.wrap(layout.plain_text(name, 2 * NAME), NAME) or [""]


def bounds(info: Info) -> tuple[float, float]:
    """From the least to the greatest edge of all histograms."""
    edges = [edge for row in info.rows for cell in row.cells for edge in (*cell.edges[:1], *cell.edges[-1:])]
    low, high = min(edges, default=0.0), max(edges, default=1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


@style.styled
def draw(info: Info, width: float = layout.WIDTH) -> Figure:
    """Draw a grid of histograms.

    Args:
        info: what is drawn.
        width: in inches.
    """
    from normwise.figures.notebook import NotebookFigure

    parts, left, rows = blocks(info, width), _left(info), len(info.rows)
    wide = min((width - left - 0.14) / len(parts[0]) - GAP, MOST)
    tall = min(max(0.5, 0.62 * wide), 0.95)
    heads = [layout.cut(each, max(7, int((wide + 0.15) / 0.08)), 2) for each in info.columns]
    head = 0.06 + 0.16 * max(map(len, heads), default=1)
    label = layout.cut(info.label, int(width / 0.09), 2)
    block = head + rows * (tall + 0.1) + 0.3
    top = layout.HEADING + 0.06
    height = top + len(parts) * block + 0.1 + 0.16 * len(label)
    figure = NotebookFigure(figsize=(width, height))
    layout.write_heading(figure, info.title)
    for number, columns in enumerate(parts):
        for at, row in enumerate(info.rows):
            bottom = height - top - number * block - head - (at + 1) * tall - at * 0.1
            look: dict[str, Any] = {"ha": "right", "va": "center", "parse_math": False, "linespacing": 1.05}
            name = "\n".join(_name(row.name))
            figure.text((left - 0.1) / width, (bottom + tall / 2) / height, name, **look)
            for column in columns:
                x = left + (column - columns[0]) * (wide + GAP)
                axes = figure.add_axes((x / width, bottom / height, wide / width, tall / height))
                _put_cell(axes, row, column, info, wide)
                axes.tick_params(labelbottom=at == rows - 1)
                if at == 0:
                    title: dict[str, Any] = {"loc": "left", "size": 10, "pad": 3, "parse_math": False}
                    axes.set_title("\n".join(heads[column]), **title)
    widest = max(map(layout.ems, label)) * 0.14
    middle = max((left + width - 0.14) / 2, 0) if widest < width - left else width / 2
    below: dict[str, Any] = {"ha": "center", "va": "bottom", "parse_math": False, "linespacing": 1.1}
    figure.text(middle / width, 0.07 / height, "\n".join(label), **below)
    return figure


def _put_cell(axes: Axes, row: Row, column: int, info: Info, wide: float) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

    cell = row.cells[column] if column < len(row.cells) else Cell((), ())
    counts = [count if math.isfinite(count) else 0.0 for count in cell.counts]
    if counts:
        axes.stairs(counts, cell.edges, fill=True, color=style.colour(row.place), alpha=0.85)
    axes.set(xlim=bounds(info), ylim=(0, max(counts, default=0) * (1.45 if cell.note else 1.15) or 1))
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    axes.yaxis.set_major_locator(NullLocator())
    axes.xaxis.set_major_locator(MaxNLocator(3 if wide > 1 else 2, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: scales.plain(value)))
    if cell.note:
        look: dict[str, Any] = {"ha": "right", "va": "top", "size": 8, "color": style.MUTED, "parse_math": False}
        axes.text(0.99, 1.0, cell.note, transform=axes.transAxes, **look)
