"""The best validation metric of one arm at every pair of values of two keys."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from normwise.figures import layout, style, sweep
from normwise.figures.series import arm
from normwise.records import RunRecord
from normwise.records.metric import Metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL = 0.34  # inches, its height
NUMBERED = 7  # most columns whose cells have numbers
DARKEST = 0.6


class Info(NamedTuple):
    """What is drawn.

    Attributes:
        arm: its name.
        keys: the two settings, that of the columns and that of the rows.
        columns: the values of the first.
        rows: the values of the second.
        means: the mean over seeds at each pair, by row; nan where there is none.
        metric: what runs are judged by.
        place: the arm's place in the study, which sets its colour.
    """

    arm: str
    keys: tuple[str, str]
    columns: tuple[Any, ...]
    rows: tuple[Any, ...]
    means: tuple[tuple[float, ...], ...]
    metric: Metric
    place: int

    @property
    def best(self) -> tuple[int, int] | None:
        """Row and column of the best mean; of equals the first column, and of those the first row."""
        there = [
            (self.metric.score(self.means[row][column]), row, column)
            for column in range(len(self.columns))
            for row in range(len(self.rows))
            if math.isfinite(self.means[row][column])
        ]
        return max(there, key=lambda found: found[0])[1:] if there else None


def info(runs: Sequence[RunRecord], keys: tuple[str, str], place: int = 0) -> Info:
    """The means of one arm.

    Args:
        runs: the runs of one arm, at any values.
        keys: two settings, that of the columns and that of the rows.
        place: the arm's place in the study.
    """
    metric = runs[0].metric
    columns, rows = (tuple(sweep.places([run.settings[key] for run in runs])) for key in keys)
    means = tuple(tuple(_mean(runs, keys, (column, row), metric) for column in columns) for row in rows)
    return Info(arm(runs[0]), keys, columns, rows, means, metric, place)


def _mean(runs: Sequence[RunRecord], keys: tuple[str, str], pair: tuple[Any, Any], metric: Metric) -> float:
    here = [run for run in runs if tuple(run.settings[key] for key in keys) == pair]
    return sweep.point(pair, here, metric).mean if here else math.nan


def title(info: Info) -> str:
    """The heading: which arm, and what is drawn."""
    unit = " in percent" if info.metric.percent else ""
    return f"{info.arm}: best validation {info.metric.label}{unit}"


def describe(info: Info) -> str:
    """The figure in words."""
    names = [sweep.name_of(key) for key in info.keys]
    said = f"Best validation {info.metric.label} of {info.arm} at each {names[0]} and {names[1]}, mean over seeds."
    if info.best is None:
        return f"{said} No finite value."
    row, column = info.best
    at = f"{names[0]} {sweep.written(info.columns[column])} and {names[1]} {sweep.written(info.rows[row])}"
    return f"{said} Best at {at}: {info.metric.write(info.means[row][column])}."


def _number(value: float, metric: Metric) -> str:
    if not math.isfinite(value):
        return "–"
    return f"{100 * value:.1f}" if metric.percent else f"{value:.3g}"


@style.styled
def draw(info: Info) -> Figure:
    """Draw a cell for each pair, in a stronger color the better it is; a frame around the best."""
    from matplotlib.patches import Rectangle

    from normwise.figures.notebook import NotebookFigure

    left, right, foot, top = 1.0, 0.2, 0.57, layout.HEADING + 0.08
    height = top + CELL * len(info.rows) + foot
    figure = NotebookFigure(figsize=(layout.WIDTH, height))
    layout.write_heading(figure, title(info._replace(arm=layout.plain_text(info.arm, 18))))
    box = (left / layout.WIDTH, foot / height, 1 - (left + right) / layout.WIDTH, CELL * len(info.rows) / height)
    axes = figure.add_axes(box)
    axes.set(xlim=(0, len(info.columns)), ylim=(len(info.rows), 0))
    axes.set_xlabel(sweep.name_of(info.keys[0]))
    axes.set_ylabel(sweep.name_of(info.keys[1]))
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for row, means in enumerate(info.means):
        for column, mean in enumerate(means):
            look: dict[str, Any] = {"facecolor": style.colour(info.place), "linewidth": 0}
            axes.add_patch(Rectangle((column, row), 1, 1, alpha=_shade(info, mean), **look))
            if len(info.columns) <= NUMBERED:
                axes.text(column + 0.5, row + 0.5, _number(mean, info.metric), ha="center", va="center")
    if info.best is not None:
        frame: dict[str, Any] = {"fill": False, "edgecolor": style.INK, "linewidth": 1.4, "clip_on": False}
        axes.add_patch(Rectangle((info.best[1], info.best[0]), 1, 1, zorder=3, **frame))
    for axis, values, long in ((axes.xaxis, info.columns, 9), (axes.yaxis, info.rows, 12)):
        texts = [layout.plain_text(sweep.written(value), max(long, 16)) for value in values]
        axis.set_ticks([place + 0.5 for place in range(len(texts))], texts, parse_math=False)
    return figure


def _shade(info: Info, mean: float) -> float:
    scores = [info.metric.score(value) for means in info.means for value in means if math.isfinite(value)]
    if not math.isfinite(mean) or min(scores) == max(scores):
        return 0.0
    return 0.05 + (DARKEST - 0.05) * (info.metric.score(mean) - min(scores)) / (max(scores) - min(scores))
