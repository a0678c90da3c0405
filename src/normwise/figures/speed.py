"""How many times as fast as a peer each case of a benchmark is, grouped by epilogue, with the floor next to it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from normwise.figures import layout, scales, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OURS, TORCH, FLOOR = "ours", "torch", "floor"
ROOM = 0.8


class Point(NamedTuple):
    """One case: how many times as fast as torch ours is (median and quartiles of rounds) and the floor is."""

    name: str
    layout: str
    values: int
    speed: float
    low: float
    high: float
    floor: float
    torch_wrong: bool


class Group(NamedTuple):
    """The cases of one epilogue, small inputs first, and the geometric mean of their speeds."""

    epilogue: str
    points: tuple[Point, ...]
    mean: float


class Info(NamedTuple):
    """What is drawn: one mode, its epilogues, the shortest name first."""

    mode: str
    groups: tuple[Group, ...]

    @property
    def layouts(self) -> list[str]:
        """The memory formats, in the order of first appearance by name."""
        return sorted({point.layout for group in self.groups for point in group.points}, reverse=True)


def info(cases: Sequence[Mapping[str, Any]], mode: str | None = None) -> Info:
    """The speeds of the cases of one mode; those that have none, because ours was wrong, are left out.

    Args:
        cases: the ``cases`` of ``normwise bench --json``.
        mode: ``forward+backward``, ``forward`` or ``inference``; None for that of the first case.
    """
    timed = [case for case in cases if case["speed"]]
    mode = mode or (timed[0]["mode"] if timed else "")
    groups: dict[str, list[Point]] = {}
    for case in timed:
        if case["mode"] == mode:
            groups.setdefault(case["epilogue"], []).append(_point(case))
    return Info(
        mode, tuple(_group(name, points) for name, points in sorted(groups.items(), key=lambda item: len(item[0])))
    )


def _point(case: Mapping[str, Any]) -> Point:
    speed, seconds = case["speed"][TORCH], case["seconds"]
    low, high = speed["quartiles"]
    return Point(
        case["name"],
        case["layout"],
        math.prod(case["shape"]),
        speed["median"],
        low,
        high,
        seconds[TORCH]["median"] / seconds[FLOOR]["median"],
        bool(case["torch_wrong"]),
    )


def _group(epilogue: str, points: Iterable[Point]) -> Group:
    ordered = tuple(sorted(points, key=lambda point: (point.values, point.name)))
    mean = math.exp(math.fsum(math.log(point.speed) for point in ordered) / len(ordered))
    return Group(epilogue, ordered, mean)


def title(info: Info) -> str:
    """The heading: what is drawn."""
    return f"Speed against torch, {info.mode}" if info.mode else "Speed against torch"


def describe(info: Info) -> str:
    """The figure in words."""
    said = [f"How many times as fast as torch's layer each case is, {info.mode}, by epilogue, small inputs first."]
    for group in info.groups:
        least, most = (pick(group.points, key=lambda point: point.speed) for pick in (min, max))
        said.append(
            f"{group.epilogue}: geometric mean {group.mean:.2f} over {len(group.points)} cases, "
            f"from {least.speed:.2f} ({least.name}) to {most.speed:.2f} ({most.name})."
        )
    return " ".join(said) if info.groups else "No case has a speed."


@style.styled
def draw(info: Info) -> Figure:
    """Draw a dot per case with its quartiles, a tick where the floor is, and a line at each geometric mean.

    A hollow dot is a case that torch gets wrong.
    """
    entries = [layout.Entry(name, _look(place)) for place, name in enumerate(info.layouts)]
    tick = {"color": style.MUTED, "marker": "_", "linestyle": "none", "markersize": 7}
    mean = {"color": style.INK, "linewidth": 1.4}
    wrong = [layout.Entry("torch is wrong", _look(0) | {"color": style.MUTED, "markerfacecolor": "none"})]
    flagged = any(point.torch_wrong for group in info.groups for point in group.points)
    entries += [layout.Entry("passes over memory", tick), layout.Entry("geometric mean", mean)]
    figure, axes = layout.panel(title(info), entries + (wrong if flagged else []))
    _axes(axes, info)
    for column, group in enumerate(info.groups):
        _draw_group(axes, group, column, info.layouts)
    return figure


def _look(place: int) -> dict[str, Any]:
    return {"color": style.colour(place + 1), "marker": style.marker(place), "linestyle": "none", "markersize": 4}


def _axes(axes: Axes, info: Info) -> None:
    points = [point for group in info.groups for point in group.points]
    values = [value for point in points for value in (point.low, point.high, point.floor)] or [0.5, 2.0]
    scales.log_axis(axes, (min(*values, 0.9) / 1.15, max(*values, 1.1) * 1.15))
    axes.set_ylabel("× torch")
    axes.axhline(1.0, color=style.MUTED, linewidth=1.0)
    axes.grid(visible=False, axis="x")
    axes.set_xlim(-0.5, max(len(info.groups), 1) - 0.5)
    axes.set_xticks(range(len(info.groups)), [group.epilogue.replace("+add", "+add\n") for group in info.groups])


def _draw_group(axes: Axes, group: Group, column: int, layouts: Sequence[str]) -> None:
    """Draw one epilogue: its cases side by side around ``column``."""
    count = len(group.points)
    size = 4.0 if count < 20 else 2.6
    for index, point in enumerate(group.points):
        x = column + ROOM * ((index + 0.5) / count - 0.5)
        look = _look(layouts.index(point.layout))
        axes.plot([x, x], [point.low, point.high], color=look["color"], linewidth=0.8, alpha=0.6)
        axes.plot([x], [point.floor], color=style.MUTED, marker="_", linestyle="none", markersize=size)
        hollow = {"markerfacecolor": "none"} if point.torch_wrong else {}
        axes.plot([x], [point.speed], **look | hollow | {"markersize": size})
    ends = (column - ROOM / 2, column + ROOM / 2)
    axes.plot(ends, (group.mean, group.mean), color=style.INK, linewidth=1.4)
