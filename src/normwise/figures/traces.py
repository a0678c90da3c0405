"""One quantity of single runs over training, a thin line each: the loss of every step, or a metric."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from normwise.figures import layout, limits, scales, style
from normwise.figures.series import Cross
from normwise.records.metric import Metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS = 120
"""Most points of a line; more steps are averaged in groups of neighbors."""

IN_KEY = 6
LEVEL: dict[str, Any] = {"color": style.INK, "linestyle": (0, (1, 2)), "linewidth": 1.4}


class Trace(NamedTuple):
    """One line.

    Attributes:
        name: of the run; lines of one run have the same.
        place: of the run among all, which sets its color.
        steps: the last step of each group of neighbors.
        values: the mean of the group; nan where one of them is not finite.
        dashed: whether it is dashed.
    """

    name: str
    place: int
    steps: tuple[int, ...]
    values: tuple[float, ...]
    dashed: bool = False

    @property
    def ends(self) -> tuple[int, int] | None:
        """The positions of the first and the last finite value; None where there is none."""
        there = [place for place, value in enumerate(self.values) if math.isfinite(value)]
        return (there[0], there[-1]) if there else None

    @property
    def cross(self) -> Cross | None:
        """Where the line first is not finite, with its last value before that; None where it always is."""
        bad = next((place for place, value in enumerate(self.values) if not math.isfinite(value)), None)
        if bad is None:
            return None
        return Cross(self.steps[bad], self.values[bad - 1] if bad else math.nan)


class Level(NamedTuple):
    """A value to compare with, and its name."""

    value: float
    name: str


class Info(NamedTuple):
    """What is drawn.

    Attributes:
        title: the heading.
        label: of the y axis.
        percent: whether values are written in percent.
        log: whether the y axis is logarithmic.
        traces: the lines.
        level: a value to compare with; None for none.
        limits: of the y axis.
        parts: what a solid and a dashed line are, where there are both.
    """

    title: str
    label: str
    percent: bool
    log: bool
    traces: tuple[Trace, ...]
    level: Level | None
    limits: limits.Limits
    parts: tuple[str, ...] = ()

    def write(self, value: float) -> str:
        """A value in a sentence."""
        return Metric("", "", percent=self.percent).write(value)


def trace(name: str, place: int, points: Mapping[int, float | None], *, dashed: bool = False) -> Trace:
    """The line of one run, from step to value; None counts as not finite.

    It ends with the first value that is not finite where no finite one comes after it.
    """
    found = [math.nan if value is None else value for value in points.values()]
    last = max((place for place, value in enumerate(found) if math.isfinite(value)), default=0)
    steps, found = list(points)[: last + 2], found[: last + 2]
    size = -(-len(steps) // POINTS) or 1
    groups = [found[at : at + size] for at in range(0, len(found), size)]
    ends = [steps[min(at + size, len(steps)) - 1] for at in range(0, len(steps), size)]
    means = tuple(math.fsum(group) / len(group) if all(map(math.isfinite, group)) else math.nan for group in groups)
    return Trace(name, place, tuple(ends), means, dashed)


def loss_info(traces: Sequence[Trace], label: str, level: Level | None) -> Info:
    """The loss; its axis is logarithmic unless a value is negative."""
    values = [value for line in traces for value in line.values if math.isfinite(value)]
    levels = [level.value] if level else []
    if any(value < 0 for value in [*values, *levels]):
        reach, log = limits.good_side([*values, *levels], higher_is_better=False), False
    else:
        reach, log = limits.positive([*values, *levels], floor=1e-6, spike=20.0), True
        log = reach[1] / reach[0] > 5
        reach = reach if log else _around([*values, *levels])
    return Info("Loss over training", f"{label}, lower is better", False, log, tuple(traces), level, reach)


def _around(values: Sequence[float]) -> limits.Limits:
    low, high = min(values), max(values)
    room = 0.06 * (high - low) or 0.1 * abs(high) or 0.5
    return low - room, high + room


def metric_info(traces: Sequence[Trace], metric: Metric, level: Level | None) -> Info:
    """A metric on validation data, solid, and on training data, dashed."""
    values = [value for line in traces for value in line.values] + ([level.value] if level else [])
    if metric.percent:
        reach = limits.shares(values)
    else:
        reach = limits.good_side(values, higher_is_better=metric.higher_is_better)
    label = f"{metric.label}, {'higher' if metric.higher_is_better else 'lower'} is better"
    title = f"{metric.heading} over training"
    parts = ("validation", "training") if any(line.dashed for line in traces) else ("validation",)
    return Info(title, label, metric.percent, False, tuple(traces), level, reach, parts)


def title(info: Info) -> str:
    """The heading: what is drawn."""
    return info.title


def describe(info: Info) -> str:
    """The figure in words."""
    said = [f"{info.title} ({info.label})."]
    said += [_describe(line, info) for line in info.traces if not line.dashed]
    return " ".join([*said, *([f"{info.level.name}: {info.write(info.level.value)}."] if info.level else [])])


def _describe(line: Trace, info: Info) -> str:
    if line.ends is None:
        return f"{line.name}: no finite value."
    first, last = (f"{info.write(line.values[at])} at step {line.steps[at]:,}" for at in line.ends)
    stopped = f", not finite at step {line.cross.step:,}" if line.cross else ""
    return f"{line.name}: from {first} to {last}{stopped}."


@style.styled
def draw(info: Info) -> Figure:
    """Draw a thin line per run, a dotted level, and a cross where a run was no longer finite."""
    figure, axes = layout.panel(info.title, _key(info), label=info.label)
    scales.steps_axis(axes, max((line.steps[-1] for line in info.traces if line.steps), default=1))
    scales.y_axis(axes, info.limits, log=info.log, percent=info.percent)
    if info.level:
        axes.axhline(info.level.value, **LEVEL, zorder=3)
    for line in info.traces:
        color = style.colour(line.place)
        look: dict[str, Any] = {"color": color, "linewidth": 1.2}
        if line.dashed:
            look |= {"linestyle": (0, (2.5, 1.5)), "dash_capstyle": "butt"}
        axes.plot(line.steps, limits.clamp(line.values, info.limits), **look)
        layout.put_beyond(axes, line.steps, line.values, color)
        if line.cross and not line.dashed:
            layout.put_crosses(axes, [line.cross], info.limits, color)
    return figure


def _key(info: Info) -> list[layout.Entry]:
    solid = [line for line in info.traces if not line.dashed]
    entries = [layout.Entry(line.name, {"color": style.colour(line.place)}) for line in solid[:IN_KEY]]
    entries = entries if len(entries) > 1 else []
    if len(info.parts) > 1:
        looks: list[dict[str, Any]] = [{"color": style.INK, "linewidth": 1.2}]
        looks.append({"color": style.INK, "linestyle": (0, (2.5, 1.5)), "linewidth": 1.2})
        entries += [layout.Entry(part, look) for part, look in zip(info.parts, looks, strict=True)]
    if any(line.cross for line in info.traces):
        entries.append(layout.Entry("not finite", layout.cross(style.INK)))
    return [*entries, *([layout.Entry(info.level.name, LEVEL)] if info.level else [])]
