"""Predicted against true values of a regression, on the test data at the best step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from normwise.figures import layout, limits, outputs, scales, style
from normwise.figures.series import arm
from normwise.records import RunRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_TARGETS, MOST_PAIRS, MOST_POINTS, CELLS = 4, 20_000, 600, 48
SIDE, SMALL_SIDE = 3.1, 1.62  # of the axes of one target, and of several, in inches


class Target(NamedTuple):
    """The predicted and true values of one target, of all runs together, and the limits of both axes.

    Of more than 20,000 pairs, ``pairs`` in all, evenly spaced ones are kept.
    """

    name: str
    pairs: int
    predicted: tuple[float, ...]
    true: tuple[float, ...]
    limits: limits.Limits

    @property
    def error(self) -> float:
        """The mean absolute error of the finite predictions, in the target's own unit."""
        pairs = zip(self.predicted, self.true, strict=True)
        errors = [abs(predicted - true) for predicted, true in pairs if math.isfinite(predicted)]
        return math.fsum(errors) / max(len(errors), 1)


class Info(NamedTuple):
    """What is drawn: the first targets, of ``targets`` in all; ``place`` is the arm's place in the study."""

    arm: str
    runs: int
    shown: tuple[Target, ...]
    targets: int
    place: int


def info(runs: Sequence[RunRecord], place: int = 0) -> Info | None:
    """The predictions of one arm, of all its runs together; None where no run kept outputs that fit."""
    found = [pair for one in outputs.read(runs) if (pair := outputs.columns(one)) is not None]
    if not found:
        return None
    predicted, true = (np.concatenate(parts) for parts in zip(*found, strict=True))
    count = true.shape[1]
    names = ["" if count == 1 else f"target {column + 1}" for column in range(min(count, MOST_TARGETS))]
    shown = tuple(_target(name, predicted[:, column], true[:, column]) for column, name in enumerate(names))
    return Info(arm(runs[0]), len(found), shown, count, place)


def _target(name: str, predicted: np.ndarray[Any, Any], true: np.ndarray[Any, Any]) -> Target:
    """Both axes have room for the true values, and for 98 of 100 predictions where those are not far beyond."""
    low, high = float(true.min()), float(true.max())
    reach = high - low or abs(high) or 1.0
    least, most = limits.middle(predicted.tolist())
    least, most = max(min(low, least), low - reach), min(max(high, most), high + reach)
    room = 0.04 * (most - least)
    pairs = len(true)
    predicted, true = (values[:: -(-pairs // MOST_PAIRS)] for values in (predicted, true))
    return Target(name, pairs, tuple(predicted.tolist()), tuple(true.tolist()), (least - room, most + room))


def title(info: Info) -> str:
    """The heading: which arm, and what is drawn."""
    return f"{info.arm}: predicted and true values"


def describe(info: Info) -> str:
    """The figure in words."""
    pooled = "1 run" if info.runs == 1 else f"{info.runs} runs together"
    said = f"Predicted against true values of {info.arm}, {pooled}, with the line on which both are equal."
    if info.targets > len(info.shown):
        said += f" The first {len(info.shown)} of {info.targets} targets."
    return " ".join([said, *map(_describe, info.shown)])


def _describe(target: Target) -> str:
    name = f"{target.name}: " if target.name else ""
    kept = "" if len(target.true) == target.pairs else f"{len(target.true):,} of "
    said = f"{name}{kept}{target.pairs:,} pairs, true values from {min(target.true):.3g} to {max(target.true):.3g}, "
    beyond = limits.beyond(target.predicted, target.limits)
    said += f"mean absolute error {target.error:.3g}."
    return said + (f" {beyond:,} predictions lie beyond the axis, drawn at its edge." if beyond else "")


@style.styled
def draw(info: Info) -> Figure:
    """Draw the pairs as points, or as cells that are darker where there are many, and the line of equality."""
    from normwise.figures.notebook import NotebookFigure

    one = len(info.shown) == 1
    side, across = (SIDE, 1) if one else (SMALL_SIDE, 2)
    left, foot, between, top = 0.75, 0.54, 0.5, layout.HEADING + (0.1 if one else 0.3)
    rows = -(-len(info.shown) // across)
    height = top + rows * side + (rows - 1) * between + foot
    figure = NotebookFigure(figsize=(layout.WIDTH, height))
    layout.write_heading(figure, title(info._replace(arm=layout.plain_text(info.arm, 18))))
    for place, target in enumerate(info.shown):
        row, column = divmod(place, across)
        x, y = left + column * (side + between), top + row * (side + between) + side
        axes = figure.add_axes((x / layout.WIDTH, 1 - y / height, side / layout.WIDTH, side / height))
        _draw_target(axes, target, style.colour(info.place))
        axes.set_title(target.name, loc="left", size=10, pad=3, parse_math=False)
        axes.set_xlabel("true" if row == rows - 1 else "")
        axes.set_ylabel("predicted" if column == 0 else "")
    return figure


def _draw_target(axes: Axes, target: Target, colour: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set(xlim=target.limits, ylim=target.limits)
    scales.plain_axis(axes)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(4))
        axis.set_major_formatter(axes.yaxis.get_major_formatter())
    axes.plot(target.limits, target.limits, color=style.MUTED, linewidth=1)
    predicted = limits.clamp(target.predicted, target.limits)
    if len(target.true) <= MOST_POINTS:
        look: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 4, "markeredgewidth": 0}
        axes.plot(target.true, predicted, color=colour, alpha=0.45, clip_on=False, **look)
    else:
        _draw_cells(axes, target, predicted, colour)


def _draw_cells(axes: Axes, target: Target, predicted: Sequence[float], colour: str) -> None:
    counts, _, _ = np.histogram2d(predicted, target.true, bins=CELLS, range=(target.limits, target.limits))
    pixels = np.empty((CELLS, CELLS, 4))
    pixels[..., :3] = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    pixels[..., 3] = np.where(counts > 0, 0.12 + 0.88 * np.log1p(counts) / np.log1p(counts.max()), 0)
    extent = (*target.limits, *target.limits)
    axes.imshow(pixels, extent=extent, origin="lower", interpolation="nearest", aspect="auto", zorder=3)
