"""What comes out of each hidden layer at the start and at the end of training, as histograms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from normwise.figures import layout, scales, style
from normwise.figures.series import arm, layer_name, layers, number, spread
from normwise.records import RunRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROWS = 5
TOP, NAME, BARS, LABELS, BETWEEN, SIDE, GUTTER = 0.56, 0.22, 0.42, 0.24, 0.1, 0.24, 0.4
NOTHING: dict[str, Any] = {"step": 0, "activations": []}


class Histogram(NamedTuple):
    """Shares of the values in equal bins from ``low`` to ``high``; they add up to one, or there are none."""

    low: float
    high: float
    shares: tuple[float, ...]

    def quantile(self, part: float) -> float:
        """The upper edge of the first bin at which the shares add up to ``part``."""
        total = 0.0
        for place, share in enumerate(self.shares, start=1):
            total += share
            if total >= part:
                return self.low + place * (self.high - self.low) / len(self.shares)
        return self.high


class Row(NamedTuple):
    """One hidden layer at the start and at the end."""

    layer: str
    start: Histogram
    end: Histogram

    @property
    def limits(self) -> tuple[float, float]:
        """The range of both histograms."""
        there = [histogram for histogram in (self.start, self.end) if histogram.shares]
        low, high = min((h.low for h in there), default=0.0), max((h.high for h in there), default=1.0)
        return (low, high) if low < high else (low - 0.5, low + 0.5)


class Info(NamedTuple):
    """What is drawn: rows from the input side, ``layers`` of which there are in all, and the two steps.

    ``place`` is the arm's place in the study, which sets its colour.
    """

    arm: str
    seed: int
    rows: tuple[Row, ...]
    layers: int
    steps: tuple[int, int]
    place: int


def info(runs: Sequence[RunRecord], place: int = 0) -> Info:
    """The histograms of the first run, of at most five hidden layers, evenly spaced.

    Args:
        runs: the runs of one arm; of the first, the first and the last evaluation whose values are finite are shown.
        place: the arm's place in the study.
    """
    names = layers(runs[:1], "activations")
    lines = [line for line in runs[0].metrics if any(item["low"] is not None for item in line["activations"])]
    ends = (lines[0], lines[-1]) if lines else (NOTHING, NOTHING)
    start, end = ({item["layer"]: _histogram(item) for item in line["activations"]} for line in ends)
    none = Histogram(0.0, 1.0, ())
    rows = tuple(Row(layer_name(name), start.get(name, none), end.get(name, none)) for name in spread(names, ROWS))
    return Info(
        arm(runs[0]), runs[0].settings.get("seed", 0), rows, len(names), (ends[0]["step"], ends[1]["step"]), place
    )


def _histogram(item: dict[str, Any]) -> Histogram:
    low, high, total = number(item["low"]), number(item["high"]), sum(item["counts"])
    if not math.isfinite(low + high) or not total:
        return Histogram(0.0, 1.0, ())
    room = 0.0 if low < high else 0.5
    return Histogram(low - room, high + room, tuple(count / total for count in item["counts"]))


def title(info: Info) -> str:
    """The heading: which arm, and what is drawn."""
    return f"{info.arm}: outputs of the hidden layers"


def describe(info: Info) -> str:
    """The figure in words."""
    shown = f"{len(info.rows)} of {info.layers}" if len(info.rows) < info.layers else f"{info.layers}"
    said = f"Histograms of the outputs of {shown} hidden layers of {info.arm} (seed {info.seed})"
    said += f" at step {info.steps[0]:,} and at step {info.steps[1]:,}. Middle 70 % of the values: "
    return said + "; ".join(f"{row.layer} {_middle(row.start)}, then {_middle(row.end)}" for row in info.rows) + "."


def _middle(histogram: Histogram) -> str:
    if not histogram.shares:
        return "no finite value"
    return f"{histogram.quantile(0.15):.2g} to {histogram.quantile(0.85):.2g}"


@style.styled
def draw(info: Info) -> Figure:
    """Draw a row per layer, start on the left, end on the right; each histogram is as tall as its tallest bin."""
    from normwise.figures.notebook import NotebookFigure

    labelled = [now.limits != after.limits for now, after in pairwise(info.rows)] + [True]
    height = TOP + sum(NAME + BARS + (LABELS if label else 0) + BETWEEN for label in labelled)
    figure = NotebookFigure(figsize=(layout.WIDTH, height))
    layout.write_heading(figure, title(info._replace(arm=layout.plain_text(info.arm, 17))))
    width = (layout.WIDTH - 2 * SIDE - GUTTER) / 2
    for column, step in enumerate(info.steps):
        left, down = SIDE + column * (width + GUTTER), TOP
        figure.text(left / layout.WIDTH, 1 - 0.34 / height, f"step {step:,}", va="top", color=style.MUTED)
        for row, label in zip(info.rows, labelled, strict=False):
            down += NAME + BARS
            box = (left / layout.WIDTH, 1 - down / height, width / layout.WIDTH, BARS / height)
            axes = figure.add_axes(box)
            _draw_histogram(axes, (row.start, row.end)[column], row.limits, style.colour(info.place))
            axes.tick_params(left=False, labelleft=False, labelbottom=label)
            if column == 0:
                axes.set_title(layout.plain_text(row.layer, 24), loc="left", size=10, pad=3, parse_math=False)
            down += (LABELS if label else 0) + BETWEEN
    return figure


def _draw_histogram(axes: Axes, histogram: Histogram, limits: tuple[float, float], colour: str) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    bins = len(histogram.shares)
    edges = [histogram.low + place * (histogram.high - histogram.low) / max(bins, 1) for place in range(bins + 1)]
    if bins:
        axes.stairs(histogram.shares, edges, fill=True, color=colour, alpha=0.3)
        axes.stairs(histogram.shares, edges, color=colour, linewidth=1.2)
    else:
        middle: dict[str, Any] = {"transform": axes.transAxes, "ha": "center", "va": "center", "color": style.MUTED}
        axes.text(0.5, 0.5, "not finite", **middle)
    axes.set_ylim(0, 1.05 * max(histogram.shares, default=1.0))
    axes.set_xlim(*limits)
    axes.xaxis.set_major_locator(MaxNLocator(3 if limits[1] >= 1e6 else 4, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: scales.plain(value)))
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False)
