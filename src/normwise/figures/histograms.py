"""Distributions as small multiples: a row for each setting, a column for each layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from normwise.figures import layout, scales, style

if TYPE_CHECKING:
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
    cell = row.cells[-1]
    total = sum(cell.counts)
    if not total:
        return f"{row.name}: no value in {info.columns[-1]}."
    most = max(range(len(cell.counts)), key=lambda place: cell.counts[place])
    low, high = (scales.plain(float(f"{edge:.3g}")) for edge in cell.edges[most : most + 2])
    share = 100 * cell.counts[most] / total
    return f"{row.name}: in {info.columns[-1]} {share:.0f} % lie between {low} and {high}."


@style.styled
def draw(info: Info) -> Figure:
    """Draw a grid of histograms."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

    from normwise.figures.notebook import NotebookFigure

    wide, tall, gap = 1.35, 0.72, 0.12
    left = layout.MARGIN + 0.1 + 0.084 * max(len(row.name) for row in info.rows)
    top = layout.HEADING + 0.26
    width = left + len(info.columns) * (wide + gap) + 0.1
    height = top + len(info.rows) * (tall + gap) + layout.BOTTOM
    figure = NotebookFigure(figsize=(width, height))
    layout.write_heading(figure, info.title)
    edges = [edge for row in info.rows for cell in row.cells for edge in (cell.edges[0], cell.edges[-1])]
    for at, row in enumerate(info.rows):
        bottom = height - top - (at + 1) * tall - at * gap
        figure.text((left - 0.1) / width, (bottom + tall / 2) / height, row.name, ha="right", va="center")
        for column, cell in enumerate(row.cells):
            axes = figure.add_axes(
                ((left + column * (wide + gap)) / width, bottom / height, wide / width, tall / height)
            )
            axes.stairs(cell.counts, cell.edges, fill=True, color=style.colour(row.place), alpha=0.85)
            axes.set(xlim=(min(edges), max(edges)), ylim=(0, max(cell.counts, default=0) * 1.15 or 1))
            axes.grid(visible=False)
            axes.spines["left"].set_visible(False)
            axes.yaxis.set_major_locator(NullLocator())
            axes.xaxis.set_major_locator(MaxNLocator(3))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: scales.plain(value)))
            axes.tick_params(labelbottom=at == len(info.rows) - 1)
            if cell.note:
                axes.text(0.98, 0.95, cell.note, transform=axes.transAxes, ha="right", va="top", size=8)
            if at == 0:
                axes.set_title(info.columns[column], loc="left", size=10, pad=3)
    figure.text((left + 0.1) / width, 0.1 / height, info.label, va="bottom")
    return figure
