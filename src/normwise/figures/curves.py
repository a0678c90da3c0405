"""One quantity over training, one colour per arm: the metric, the loss, or what was measured inside the network."""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from normwise.figures import chart as charts
from normwise.figures import layout, limits, scales, style
from normwise.figures.quantities import Name, Part, Quantity, quantity
from normwise.figures.series import Band, Cross, band, by_arm, crosses
from normwise.records import RunRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKS = 7
FEW = 3  # arms whose spreads over units can be told apart


class Curve(NamedTuple):
    """One arm.

    Attributes:
        arm: its name.
        place: its place in the study, which sets its colour.
        seeds: how many runs there are.
        parts: for each part of the quantity the mean over the seeds that reached a step, with its band.
        runs: for each part the curves of the single runs.
        diverged: where runs diverged, by the first part.
        best: the best step of each run, where this is what runs are judged by; None for a run without one.
    """

    arm: str
    place: int
    seeds: int
    parts: tuple[Band, ...]
    runs: tuple[tuple[Band, ...], ...]
    diverged: tuple[Cross, ...]
    best: tuple[int | None, ...] = ()

    @property
    def main(self) -> Band:
        """The band of the first part, which is drawn solid."""
        return self.parts[0]

    def at(self, step: int) -> float:
        """The mean of the first part at a step; nan where it was not measured."""
        return dict(zip(self.main.steps, self.main.mean, strict=True)).get(step, math.nan)


class Info(NamedTuple):
    """What is drawn; ``parts`` are the names of the lines of each arm, the solid one first.

    ``first`` says which values are better; ``spread`` whether the bands are a spread over units, which are drawn of few
    arms only; ``chance`` is what guessing scores, None where that is not known or not what is drawn.
    """

    title: str
    label: str
    percent: bool
    log: bool
    parts: tuple[str, ...]
    curves: tuple[Curve, ...]
    limits: limits.Limits
    first: charts.First = ""
    spread: bool = False
    chance: float | None = None

    @property
    def bands(self) -> bool:
        """Whether every arm has its band."""
        return not self.spread or len(self.curves) <= FEW

    def write(self, value: float) -> str:
        """A value in a sentence."""
        if not math.isfinite(value):
            return "not finite"
        return f"{100 * value:.1f} %" if self.percent else f"{value:.3g}"


def info(
    runs: Sequence[RunRecord], name: Name = "metric", arms: Sequence[str] = (), chance: float | None = None
) -> Info:
    """The curves of every arm that has runs.

    Args:
        runs: one or more runs of each arm, all with one metric and one loss.
        name: ``metric`` and ``loss`` have test (solid) and training (dashed) values; ``gradients`` the norms of the
            first and the last layer; ``preactivations`` percentiles, and ``saturated`` the saturated share, of the last
            hidden nonlinearity.
        arms: every arm of the study, in its order; those of the runs, in the order of first appearance, where there
            are none.
        chance: what guessing scores in the metric; None where that is not known.
    """
    what = quantity(runs, name)
    found = by_arm(runs)
    order = list(arms) or list(found)
    curves = tuple(_of_arm(arm, place, found[arm], what) for place, arm in enumerate(order) if arm in found)
    drawn = [part for curve in curves for part in curve.parts]
    values = [value for part in drawn for value in (*part.mean, *part.low, *part.high)]
    reach = what.limits(values)
    parts = tuple(part.name for part in what.parts)
    label = "median" if what.spread and len(curves) > FEW else what.label
    level = chance if what.judged else None
    log = what.log and reach[0] > 0
    return Info(what.title, label, what.percent, log, parts, curves, reach, what.first, what.spread, level)


def _of_arm(arm: str, place: int, runs: Sequence[RunRecord], what: Quantity) -> Curve:
    parts = tuple(_band(runs, what, part) for part in what.parts)
    single = tuple(tuple(band([what.curve(run, part.value)]) for run in runs) for part in what.parts)
    diverged = crosses((run, what.curve(run, what.parts[0].value)) for run in runs)
    best = tuple((run.best or {}).get("step") for run in runs) if what.judged else ()
    return Curve(arm, place, len(runs), parts, single, diverged, best)


def _band(runs: Sequence[RunRecord], what: Quantity, part: Part) -> Band:
    pooled = band(what.curve(run, part.value) for run in runs)
    if part.edges is None:
        return pooled
    low, high = (band(what.curve(run, read) for run in runs).mean for read in part.edges)
    return pooled._replace(low=low, high=high)


def title(info: Info) -> str:
    """The heading: what is drawn."""
    return info.title


def describe(info: Info) -> str:
    """The figure in words."""
    lines = f"{info.parts[0]} solid and {info.parts[1]} dashed" if len(info.parts) > 1 else info.parts[0]
    said = [f"{info.title} ({info.label}): {lines}."]
    said += [_describe(curve, info) for curve in info.curves]
    return " ".join(said + _beyond(info))


def _describe(curve: Curve, info: Info) -> str:
    seeds = "1 seed" if curve.seeds == 1 else f"mean of {curve.seeds} seeds"
    said = f"{curve.arm} ({seeds}): "
    ends = curve.main.ends()
    if ends is None:
        said += "no finite value."
    else:
        first, last = ends
        start, end = (info.write(curve.main.mean[place]) for place in ends)
        said += f"{info.parts[0]} from {start} at step {curve.main.steps[first]:,}"
        said += f" to {end} at step {curve.main.steps[last]:,}"
        if curve.seeds > 1:
            said += f" ({info.write(curve.main.low[last])} to {info.write(curve.main.high[last])})"
        others = zip(info.parts[1:], curve.parts[1:], strict=True)
        said += "".join(f", {name} {info.write(part.mean[last])}" for name, part in others) + "."
    return said + "".join(f" A run diverged at step {cross.step:,}." for cross in curve.diverged)


def _beyond(info: Info) -> list[str]:
    """What is drawn at the edge of the axes, in words."""
    means = [value for curve in info.curves for part in curve.parts for value in part.mean]
    low, high = info.limits
    below, above = sum(value < low for value in means), sum(value > high for value in means)
    foot = "at the foot of the axis" + (", below " + info.write(low) if below else "")
    said = [f"{below} of {len(means)} values are drawn {foot}."] if below else []
    return said + ([f"{above} of {len(means)} values are above {info.write(high)}, at its top."] if above else [])


def chart(info: Info) -> charts.Chart:
    """The figure for a page that draws it itself."""
    lines = [
        charts.Line(
            curve.place, curve.arm, part, style.colour(curve.place), band.steps, band.mean, band.low, band.high,
            tuple((run.steps, run.mean) for run in runs) if curve.seeds > 1 else (),
            dashed=index > 0, marker=None if index else curve.place, best=() if index else curve.best,
        )
        for curve in info.curves
        for index, (part, band, runs) in enumerate(zip(info.parts, curve.parts, curve.runs, strict=True))
    ]  # fmt: skip
    marks = [charts.Cross(curve.place, cross.step, cross.value) for curve in info.curves for cross in curve.diverged]
    return charts.Chart(
        info.label, info.percent, info.log, info.limits, tuple(lines), tuple(marks),
        level=info.chance, first=info.first, spread=info.spread,
    )  # fmt: skip


@style.styled
def draw(info: Info) -> Figure:
    """Draw the curves with their bands; what lies beyond the axes is drawn at their edge and marked."""
    entries = [
        layout.Entry(curve.arm, _line(curve.place, "-") | {"marker": style.marker(curve.place)})
        for curve in info.curves
    ]
    figure, axes = layout.panel(info.title, entries, _notes(info), label=info.label)
    scales.steps_axis(axes)
    scales.y_axis(axes, info.limits, log=info.log, percent=info.percent)
    layout.put_level(axes, info.chance, "chance")
    shade = min(0.16, 0.5 / max(len(info.curves), 1)) if info.bands else 0.0
    last = max((step for curve in info.curves for step in curve.main.steps), default=0)
    for place, curve in enumerate(info.curves):
        offset = (place + 1) / (len(info.curves) + 1)
        _draw_curve(axes, curve, _marks(curve.main.steps, last, offset), info.limits, shade)
    return figure


def _notes(info: Info) -> list[layout.Entry]:
    dashed: dict[str, Any] = {"color": style.INK, "linestyle": (0, (2.5, 1.5)), "linewidth": 1.4}
    looks: list[dict[str, Any]] = [{"color": style.INK}, dashed]
    short = [part.removesuffix(" layer") for part in info.parts]
    notes = [layout.Entry(part, look) for part, look in zip(short, looks, strict=False)] if len(short) > 1 else []
    if any(curve.diverged for curve in info.curves):
        notes.append(layout.Entry("diverged", layout.cross(style.INK)))
    return notes


def _line(place: int, linestyle: Any) -> dict[str, Any]:
    return {"color": style.colour(place), "linestyle": linestyle}


def _marks(steps: Sequence[int], last: int, offset: float) -> list[int]:
    """Where the markers go: evenly spaced on an axis up to ``last``, and at least one where there are steps."""
    targets = [last * (mark + offset) / MARKS for mark in range(MARKS)]
    places = {bisect(steps, target) - 1 for target in targets if steps and steps[0] <= target <= steps[-1]}
    return sorted(places) or [len(steps) - 1][: len(steps)]


def _draw_curve(axes: Axes, curve: Curve, marked: list[int], reach: limits.Limits, shade: float) -> None:
    for part in reversed(curve.parts):
        if part.low != part.high and shade:
            low, high = (limits.clamp(edge, reach) for edge in (part.low, part.high))
            axes.fill_between(part.steps, low, high, color=style.colour(curve.place), alpha=shade, linewidth=0)
    for part in curve.parts[1:]:
        look = _line(curve.place, (0, (2.5, 1.5))) | {"linewidth": 1.4, "dash_capstyle": "butt"}
        axes.plot(part.steps, limits.clamp(part.mean, reach), **look)
    look = _line(curve.place, "-") | {"marker": style.marker(curve.place), "markevery": marked}
    axes.plot(curve.main.steps, limits.clamp(curve.main.mean, reach), **look)
    for part in curve.parts:
        layout.put_beyond(axes, part.steps, part.mean, style.colour(curve.place))
    layout.put_rings(
        axes, [(step, curve.at(step)) for step in curve.best if step is not None], style.colour(curve.place)
    )
    layout.put_crosses(axes, curve.diverged, reach, style.colour(curve.place))
