"""The best validation accuracy of each arm against the learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from normwise.figures import layout, scales, style
from normwise.figures.series import by_arm, diverged_at, number
from normwise.records import RunRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

APART = 1.05


class Point(NamedTuple):
    """One arm at one learning rate: over seeds, the mean, least and greatest best validation accuracy (or nan).

    A run that diverged counts with its best before that; ``diverged`` has those again, one for each such run.
    """

    lr: float
    mean: float
    low: float
    high: float
    runs: int
    diverged: tuple[float, ...]


class Arm(NamedTuple):
    """The points of one arm, by learning rate."""

    arm: str
    points: tuple[Point, ...]

    @property
    def best(self) -> Point | None:
        """The point with the highest mean."""
        there = [point for point in self.points if math.isfinite(point.mean)]
        return max(there, key=lambda point: point.mean, default=None)


class Info(NamedTuple):
    """What is drawn, arms in the order of first appearance."""

    arms: tuple[Arm, ...]

    @property
    def rates(self) -> list[float]:
        """Every learning rate, ascending."""
        return sorted({point.lr for arm in self.arms for point in arm.points})


def info(runs: Sequence[RunRecord]) -> Info:
    """The best validation accuracy, over the evaluations, of runs at several learning rates.

    Args:
        runs: runs of any arms, seeds and learning rates.
    """
    return Info(tuple(Arm(name, tuple(_points(members))) for name, members in by_arm(runs).items()))


def _points(runs: Sequence[RunRecord]) -> list[Point]:
    rates = sorted({run.settings["lr"] for run in runs})
    return [_point(lr, [run for run in runs if run.settings["lr"] == lr]) for lr in rates]


def _point(lr: float, runs: Sequence[RunRecord]) -> Point:
    scores = [score for run in runs if math.isfinite(score := _best(run))] or [math.nan]
    diverged = tuple(_best(run) for run in runs if diverged_at(run) is not None)
    return Point(lr, math.fsum(scores) / len(scores), min(scores), max(scores), len(runs), diverged)


def _best(run: RunRecord) -> float:
    scores = [number(line["validation"]["accuracy"]) for line in run.metrics]
    return max((score for score in scores if math.isfinite(score)), default=math.nan)


def title(info: Info) -> str:
    """The heading: what is drawn."""
    return "Best validation accuracy by learning rate"


def describe(info: Info) -> str:
    """The figure in words."""
    rates = ", ".join(f"{rate:g}" for rate in info.rates)
    said = [f"Best validation accuracy against learning rate ({rates}), mean and range over seeds."]
    return " ".join([*said, *(_describe(arm) for arm in info.arms)])


def _describe(arm: Arm) -> str:
    best = arm.best
    said = f"{arm.arm}: "
    said += f"best at {best.lr:g} with {100 * best.mean:.1f} %" if best else "no finite value"
    worst = min(
        (point for point in arm.points if math.isfinite(point.mean)), key=lambda point: point.mean, default=None
    )
    said += f", worst at {worst.lr:g} with {100 * worst.mean:.1f} %." if worst and worst is not best else "."
    return said + "".join(
        f" {len(point.diverged)} of {point.runs} runs diverged at {point.lr:g}."
        for point in arm.points
        if point.diverged
    )


@style.styled
def draw(info: Info) -> Figure:
    """Draw each arm's mean with whiskers from the least to the greatest seed, and a cross for each diverged run."""
    entries = [layout.Entry(arm.arm, _look(place)) for place, arm in enumerate(info.arms)]
    crosses = any(point.diverged for arm in info.arms for point in arm.points)
    notes = [layout.Entry("diverged", layout.cross(style.INK))] if crosses else []
    figure, axes = layout.panel(title(info), entries, notes)
    _rate_axis(axes, info.rates)
    scales.percent_axis(axes)
    for place, arm in enumerate(info.arms):
        _draw_arm(axes, arm, place, APART ** (place - (len(info.arms) - 1) / 2))
    return figure


def _look(place: int) -> dict[str, Any]:
    return {"color": style.colour(place), "marker": style.marker(place)}


def _rate_axis(axes: Axes, rates: Sequence[float]) -> None:
    from matplotlib.ticker import NullLocator

    axes.set_xscale("log")
    axes.set_xlim(min(rates) / 1.6, max(rates) * 1.6)
    axes.set_xlabel("learning rate")
    axes.xaxis.set_minor_locator(NullLocator())
    shown = rates if len(rates) <= 7 else rates[:: -(-len(rates) // 7)]
    axes.set_xticks(shown, [f"{rate:g}" for rate in shown])


def _draw_arm(axes: Axes, arm: Arm, place: int, shift: float) -> None:
    """Draw one arm, moved sideways by the factor ``shift`` so that whiskers do not cover each other."""
    rates = [point.lr * shift for point in arm.points]
    below = [point.mean - point.low for point in arm.points]
    above = [point.high - point.mean for point in arm.points]
    axes.errorbar(
        rates, [point.mean for point in arm.points], (below, above), **_look(place), elinewidth=1.2, capsize=2.5
    )
    for rate, point in zip(rates, arm.points, strict=True):
        for value in point.diverged:
            layout.put_cross(axes, rate, value, style.colour(place))
