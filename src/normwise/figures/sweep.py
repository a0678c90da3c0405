"""The best validation metric of each arm against the values of one key, the learning rate for example."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from normwise.figures import chart as charts
from normwise.figures import layout, limits, scales, style
from normwise.figures.quantities import direction
from normwise.figures.series import by_arm, diverged_at, number
from normwise.records import RunRecord
from normwise.records.metric import Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

APART = 0.02  # of the axis, between the arms at one value
NAMES = {"lr": "learning rate"}


class Point(NamedTuple):
    """One arm at one value: over seeds, the mean, least and greatest best validation metric (or nan).

    A run that diverged counts with its best before that; ``diverged`` has those again, one for each such run. ``taken``
    are the values of the other swept keys, in words.
    """

    value: Any
    mean: float
    low: float
    high: float
    runs: int
    diverged: tuple[float, ...]
    taken: str = ""


class Arm(NamedTuple):
    """The points of one arm, in the order of the axis; ``place`` is its place in the study, which sets its colour."""

    arm: str
    place: int
    points: tuple[Point, ...]

    def best(self, metric: Metric) -> Point | None:
        """The point with the best mean."""
        there = [point for point in self.points if math.isfinite(point.mean)]
        return max(there, key=lambda point: metric.score(point.mean), default=None)


class Info(NamedTuple):
    """What is drawn, arms in the order of first appearance.

    Attributes:
        key: the setting.
        metric: what runs are judged by.
        places: the values of the key with their places on the axis, ascending.
        arms: the points of each arm.
        limits: of the y axis.
    """

    key: str
    metric: Metric
    places: tuple[tuple[Any, float], ...]
    arms: tuple[Arm, ...]
    limits: limits.Limits

    @property
    def name(self) -> str:
        """How the key is called."""
        return name_of(self.key)

    @property
    def joined(self) -> bool:
        """Whether there is a line from value to value: not between words."""
        return all(_is_number(value) for value, _ in self.places)


def info(runs: Sequence[RunRecord], key: str, others: Sequence[str] = (), arms: Sequence[str] = ()) -> Info:
    """The best validation metric of runs at several values of ``key``.

    Args:
        runs: runs of any arms, seeds and values.
        key: a key of the settings. Numbers are laid out on a linear axis, or on a logarithmic one where they span more
            than a factor of five, 0 one step to the left of the least; words, and numbers beside none, side by side.
        others: keys of the settings that were swept besides; each arm is shown at their best values for each value of
            ``key``.
        arms: every arm of the study, in its order; those of the runs, in the order of first appearance, where there
            are none.
    """
    metric = runs[0].metric
    laid = places(run.settings[key] for run in runs)
    found = by_arm(runs)
    drawn = []
    for place, name in enumerate(list(arms) or list(found)):
        members = found.get(name, [])
        here = {value: [run for run in members if run.settings[key] == value] for value in laid}
        points = tuple(_best_point(value, tried, others, metric) for value, tried in here.items() if tried)
        drawn += [Arm(name, place, points)] if points else []
    return Info(key, metric, tuple(laid.items()), tuple(drawn), _limits(drawn, metric))


def places(values: Iterable[Any]) -> dict[Any, float]:
    """Where each of the distinct values stands on the axis, in its order."""
    values = list(dict.fromkeys(values))
    if not all(map(_is_number, values)):
        return {value: float(place) for place, value in enumerate(values)}
    ordered = sorted(values)
    positive = [value for value in ordered if value > 0]
    if ordered[0] < 0 or not positive or positive[-1] <= 5 * positive[0]:
        return {value: float(value) for value in ordered}
    step = math.log10(positive[-1] / positive[0]) / (len(positive) - 1)
    return {value: math.log10(value) if value > 0 else math.log10(positive[0]) - step for value in ordered}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def name_of(key: str) -> str:
    """How a key is called."""
    return NAMES.get(key, key.replace("_", " "))


def _best_point(value: Any, runs: Sequence[RunRecord], others: Sequence[str], metric: Metric) -> Point:
    """Of the settings that were tried with one value, those with the best mean."""
    tried: dict[tuple[Any, ...], list[RunRecord]] = {}
    for run in runs:
        tried.setdefault(tuple(run.settings[key] for key in others), []).append(run)
    points = [point(value, members, metric)._replace(taken=_taken(others, at)) for at, members in tried.items()]
    return max(points, key=lambda point: metric.score(point.mean) if math.isfinite(point.mean) else -math.inf)


def _taken(keys: Sequence[str], values: Sequence[Any]) -> str:
    return ", ".join(f"{name_of(key)} {written(value)}" for key, value in zip(keys, values, strict=True))


def point(value: Any, runs: Sequence[RunRecord], metric: Metric) -> Point:
    """The best of each of these runs, over seeds."""
    scores = [score for run in runs if math.isfinite(score := _best(run, metric))] or [math.nan]
    diverged = tuple(_best(run, metric) for run in runs if diverged_at(run) is not None)
    return Point(value, math.fsum(scores) / len(scores), min(scores), max(scores), len(runs), diverged)


def _best(run: RunRecord, metric: Metric) -> float:
    """On the whole validation part at the best step; the best of the evaluations where a run has no best step yet."""
    if run.best is not None:
        return number(run.best["validation"].get(metric.name))
    scores = [number(line["validation"][metric.name]) for line in run.metrics]
    finite = [score for score in scores if math.isfinite(score)]
    return metric.best(finite) if finite else math.nan


def _limits(arms: Sequence[Arm], metric: Metric) -> limits.Limits:
    values = [value for arm in arms for point in arm.points for value in (point.low, point.high)]
    if metric.percent:
        return limits.shares(values)
    return limits.good_side(values, higher_is_better=metric.higher_is_better)


def title(info: Info) -> str:
    """The heading: what is drawn."""
    return f"Best validation {info.metric.label} by {info.name}"


def describe(info: Info) -> str:
    """The figure in words."""
    values = ", ".join(written(value) for value, _ in info.places)
    said = [f"Best validation {info.metric.label} against {info.name} ({values}), mean and range over seeds."]
    said += [_describe(arm, info.metric) for arm in info.arms]
    beyond = sum(limits.beyond([point.mean for point in arm.points], info.limits) for arm in info.arms)
    return " ".join([*said, *([f"{beyond} means lie beyond the axis, drawn at its edge."] if beyond else [])])


def written(value: Any) -> str:
    """A value of a key in words."""
    if value is None:
        return "none"
    return f"{value:g}" if _is_number(value) else str(value)


def _at(point: Point) -> str:
    return written(point.value) + (f" ({point.taken})" if point.taken else "")


def _describe(arm: Arm, metric: Metric) -> str:
    best = arm.best(metric)
    said = f"{arm.arm}: "
    said += f"best at {_at(best)} with {metric.write(best.mean)}" if best else "no finite value"
    there = [point for point in arm.points if math.isfinite(point.mean)]
    worst = min(there, key=lambda point: metric.score(point.mean), default=None)
    said += f", worst at {_at(worst)} with {metric.write(worst.mean)}." if worst not in (None, best) else "."
    return said + "".join(
        f" {len(point.diverged)} of {point.runs} runs diverged at {written(point.value)}."
        for point in arm.points
        if point.diverged
    )


def _x(info: Info) -> dict[str, list[float]]:
    """Where each arm's points stand, moved sideways so that whiskers do not cover each other."""
    places = dict(info.places)
    ordered = sorted(places.values())
    width = ordered[-1] - ordered[0] or 1.0
    nearest = min((after - before for before, after in pairwise(ordered)), default=width)
    apart = min(APART * width, nearest / (2 * len(info.arms)))
    return {
        arm.arm: [places[point.value] + apart * (at - (len(info.arms) - 1) / 2) for point in arm.points]
        for at, arm in enumerate(info.arms)
    }


def _ticks(info: Info, most: int = 7) -> list[tuple[float, str]]:
    shown = info.places[:: -(-len(info.places) // most)]
    return [(place, layout.plain_text(written(value), 18)) for value, place in shown]


def _label(info: Info) -> str:
    return f"{info.metric.label}, {direction(info.metric.higher_is_better)}"


def chart(info: Info) -> charts.Chart:
    """The figure for a page that draws it itself."""
    x = _x(info)
    lines = tuple(_line(arm, x[arm.arm], info) for arm in info.arms)
    crosses = tuple(
        charts.Cross(arm.place, at, value)
        for arm in info.arms
        for at, point in zip(x[arm.arm], arm.points, strict=True)
        for value in point.diverged
    )
    ticks = tuple(_ticks(info, most=len(info.places)))
    percent = info.metric.percent
    return charts.Chart(_label(info), percent, log=False, limits=info.limits, lines=lines, crosses=crosses,
                        ticks=ticks, x_label=info.name,
                        first="highest" if info.metric.higher_is_better else "lowest")  # fmt: skip


def _line(arm: Arm, x: Sequence[float], info: Info) -> charts.Line:
    mean, low, high = (tuple(values) for values in zip(*(point[1:4] for point in arm.points), strict=True))
    colour = style.colour(arm.place)
    notes = tuple(point.taken for point in arm.points) if any(point.taken for point in arm.points) else ()
    return charts.Line(
        arm.place, arm.arm, "", colour, tuple(x), mean, low, high, marker=arm.place, notes=notes,
        best=tuple(place for place, _ in _best_place(arm, x, info.metric)), joined=info.joined,
    )  # fmt: skip


def _best_place(arm: Arm, x: Sequence[float], metric: Metric) -> list[tuple[float, float]]:
    """Where the arm's best point is drawn."""
    best = arm.best(metric)
    return [(x[arm.points.index(best)], best.mean)] if best else []


@style.styled
def draw(info: Info) -> Figure:
    """Draw each arm's mean with whiskers from the least to the greatest seed, and a cross for each diverged run."""
    entries = [layout.Entry(arm.arm, _look(arm.place)) for arm in info.arms]
    crosses = any(point.diverged for arm in info.arms for point in arm.points)
    notes = [layout.Entry("diverged", layout.cross(style.INK))] if crosses else []
    figure, axes = layout.panel(title(info), entries, notes, label=_label(info))
    _value_axis(axes, info)
    scales.y_axis(axes, info.limits, percent=info.metric.percent)
    for arm, x in zip(info.arms, _x(info).values(), strict=True):
        _draw_arm(axes, arm, x, info)
    return figure


def _look(place: int) -> dict[str, Any]:
    return {"color": style.colour(place), "marker": style.marker(place)}


def _value_axis(axes: Axes, info: Info) -> None:
    places = [place for _, place in info.places]
    room = 0.12 * (places[-1] - places[0]) or 0.5
    axes.set_xlim(min(places) - room, max(places) + room)
    axes.set_xlabel(info.name)
    ticks = _ticks(info)
    axes.set_xticks([place for place, _ in ticks], [text for _, text in ticks], parse_math=False)


def _draw_arm(axes: Axes, arm: Arm, x: Sequence[float], info: Info) -> None:
    reach = info.limits
    mean, low, high = (
        limits.clamp(values, reach) for values in zip(*(point[1:4] for point in arm.points), strict=True)
    )
    below = [middle - end for middle, end in zip(mean, low, strict=True)]
    above = [end - middle for middle, end in zip(mean, high, strict=True)]
    line = "-" if info.joined else "none"
    axes.errorbar(x, mean, (below, above), **_look(arm.place), linestyle=line, elinewidth=1.2, capsize=2.5)
    layout.put_rings(axes, _best_place(arm, x, info.metric), style.colour(arm.place))
    layout.put_beyond(axes, x, [point.mean for point in arm.points], style.colour(arm.place))
    for at, point in zip(x, arm.points, strict=True):
        for value in limits.clamp(point.diverged, reach):
            layout.put_cross(axes, at, value, style.colour(arm.place))
