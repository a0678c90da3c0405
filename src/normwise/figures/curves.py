"""Accuracy or loss over training, one colour per arm: the test examples solid, the training examples dashed."""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from normwise.figures import layout, scales, style
from normwise.figures.series import Band, band, by_arm, diverged_at, number
from normwise.records import RunRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Quantity = Literal["accuracy", "loss"]
MARKS = 7


class Cross(NamedTuple):
    """Where a run diverged: the step, and its last finite test value before that (nan if there was none)."""

    step: int
    value: float


class Curve(NamedTuple):
    """One arm: the mean over the seeds that reached a step, with their least and greatest value."""

    arm: str
    seeds: int
    train: Band
    test: Band
    diverged: tuple[Cross, ...]


class Info(NamedTuple):
    """What is drawn. ``limits`` are those of the y axis, positive for a loss."""

    quantity: Quantity
    curves: tuple[Curve, ...]
    limits: tuple[float, float]


def info(runs: Sequence[RunRecord], quantity: Quantity = "accuracy") -> Info:
    """The curves of every arm, in the order in which the arms first appear.

    Args:
        runs: one or more runs of each arm.
        quantity: ``"accuracy"`` (a share between 0 and 1) or ``"loss"`` (mean cross entropy, in nats).
    """
    curves = tuple(
        Curve(
            arm,
            len(members),
            band(_curve(run, "train", quantity) for run in members),
            band(_curve(run, "test", quantity) for run in members),
            tuple(_cross(run, quantity) for run in members if diverged_at(run) is not None),
        )
        for arm, members in by_arm(runs).items()
    )
    return Info(quantity, curves, _limits(curves, quantity))


def _curve(run: RunRecord, part: str, quantity: str) -> dict[int, float]:
    return {line["step"]: number(line[part][quantity]) for line in run.metrics}


def _cross(run: RunRecord, quantity: str) -> Cross:
    finite = [value for value in _curve(run, "test", quantity).values() if math.isfinite(value)]
    return Cross(diverged_at(run) or 0, finite[-1] if finite else math.nan)


def _limits(curves: Sequence[Curve], quantity: Quantity) -> tuple[float, float]:
    bands = [part for curve in curves for part in (curve.train, curve.test)]
    values = [value for part in bands for value in (*part.low, *part.high) if math.isfinite(value)]
    if quantity == "accuracy":
        least, most = min(values, default=0.0), max(values, default=1.0)
        room = max(0.04 * (most - least), 0.005)
        return max(least - room, -0.02), most + room
    return _loss_limits([value for value in values if value > 0], bands)


def _loss_limits(values: Sequence[float], bands: Sequence[Band]) -> tuple[float, float]:
    """From the least loss, but no lower than 1e-6, to the greatest, but no higher than 20 times the first."""
    first = max((part.mean[part.ends()[0]] for part in bands if part.ends()), default=1.0)  # type: ignore[index]
    most = min(max(values, default=1.0), 20 * max(first, 1e-3))
    return max(min(values, default=0.1) / 1.2, 1e-6), most * 1.2


def title(info: Info) -> str:
    """The heading: what is drawn."""
    return f"{info.quantity.capitalize()} over training"


def describe(info: Info) -> str:
    """The figure in words."""
    said = [f"{info.quantity.capitalize()} against training step, test solid and training dashed."]
    return " ".join([*said, *(_describe(curve, info.quantity) for curve in info.curves)])


def _describe(curve: Curve, quantity: Quantity) -> str:
    seeds = "1 seed" if curve.seeds == 1 else f"mean of {curve.seeds} seeds"
    said = f"{curve.arm} ({seeds}): "
    ends = curve.test.ends()
    if ends is None:
        said += "no finite value."
    else:
        first, last = ends
        start, end = (_value(curve.test.mean[place], quantity) for place in ends)
        said += f"test {quantity} from {start} at step {curve.test.steps[first]:,}"
        said += f" to {end} at step {curve.test.steps[last]:,}"
        if curve.seeds > 1:
            said += (
                f" (seeds from {_value(curve.test.low[last], quantity)} to {_value(curve.test.high[last], quantity)})"
            )
        said += f", training {_value(curve.train.mean[last], quantity)}."
    return said + "".join(f" A run diverged at step {cross.step:,}." for cross in curve.diverged)


def _value(value: float, quantity: Quantity) -> str:
    if not math.isfinite(value):
        return "not finite"
    return f"{100 * value:.1f} %" if quantity == "accuracy" else f"{value:.3g}"


@style.styled
def draw(info: Info) -> Figure:
    """Draw the curves; bands reach from the least to the greatest seed."""
    entries = [
        layout.Entry(curve.arm, _line(place, "-") | {"marker": style.marker(place)})
        for place, curve in enumerate(info.curves)
    ]
    figure, axes = layout.panel(title(info), entries, _notes(info.curves))
    scales.steps_axis(axes)
    if info.quantity == "loss":
        scales.log_axis(axes, info.limits)
    else:
        scales.percent_axis(axes)
        axes.set_ylim(*info.limits)
    last = max((step for curve in info.curves for step in curve.test.steps), default=0)
    for place, curve in enumerate(info.curves):
        offset = (place + 1) / (len(info.curves) + 1)
        _draw_curve(axes, curve, place, _marks(curve.test.steps, last, offset))
    return figure


def _notes(curves: Iterable[Curve]) -> list[layout.Entry]:
    notes = [
        layout.Entry("test", {"color": style.INK}),
        layout.Entry("train", {"color": style.INK, "linestyle": (0, (2.5, 1.5)), "linewidth": 1.4}),
    ]
    if any(curve.diverged for curve in curves):
        notes.append(layout.Entry("diverged", layout.cross(style.INK)))
    return notes


def _line(place: int, linestyle: Any) -> dict[str, Any]:
    return {"color": style.colour(place), "linestyle": linestyle}


def _marks(steps: Sequence[int], last: int, offset: float) -> list[int]:
    """Where the markers go: evenly spaced on an axis up to ``last``, and at least one where there are steps."""
    targets = [last * (mark + offset) / MARKS for mark in range(MARKS)]
    places = {bisect(steps, target) - 1 for target in targets if steps and steps[0] <= target <= steps[-1]}
    return sorted(places) or [len(steps) - 1][: len(steps)]


def _draw_curve(axes: Axes, curve: Curve, place: int, marked: list[int]) -> None:
    for part in (curve.train, curve.test):
        if curve.seeds > 1:
            axes.fill_between(part.steps, part.low, part.high, color=style.colour(place), alpha=0.16, linewidth=0)
    axes.plot(curve.train.steps, curve.train.mean, **_line(place, (0, (2.5, 1.5))), linewidth=1.4, dash_capstyle="butt")
    look = _line(place, "-") | {"marker": style.marker(place), "markevery": marked}
    axes.plot(curve.test.steps, curve.test.mean, **look)
    for cross in curve.diverged:
        layout.put_cross(axes, cross.step, cross.value, style.colour(place))
