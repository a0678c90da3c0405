"""The numbers of a page's charts, for its script."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from normwise.figures import Chart
from normwise.figures.chart import Line
from normwise.figures.heatmap import Grid

DIGITS = 6


class PageArm(NamedTuple):
    """An arm, as the page's script needs it.

    Attributes:
        name: what it is called.
        colour: its color, as on white.
        marker: the place of its marker.
        batch_size: examples per step; None where that is not known.
        clock: the seconds of training up to each step; empty where there is none.
    """

    name: str
    colour: str
    marker: int
    batch_size: int | None = None
    clock: Mapping[int, float] = {}


def embedded(
    arms: Sequence[PageArm], examples: int | None, charts: Mapping[str, Chart], grids: Mapping[str, Grid]
) -> str:
    """JSON that can stand inside a ``<script>`` element: no ``<``, and null for what is not finite.

    Args:
        arms: in the order of the study.
        examples: training examples; None where that is not known.
        charts: by the name of their figure.
        grids: likewise.
    """
    found = {
        "arms": [_arm(arm) for arm in arms],
        "examples": examples,
        "charts": {name: _chart(chart) for name, chart in charts.items()},
        "grids": {name: _grid(grid) for name, grid in grids.items()},
    }
    text = json.dumps(found, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _arm(arm: PageArm) -> dict[str, Any]:
    clock = [list(arm.clock), _numbers(arm.clock.values())]
    return {"name": arm.name, "colour": arm.colour, "marker": arm.marker, "batch": arm.batch_size, "clock": clock}


def _chart(chart: Chart) -> dict[str, Any]:
    return {
        "label": chart.label,
        "percent": chart.percent,
        "log": chart.log,
        "limits": _numbers(chart.limits),
        "lines": [_line(line) for line in chart.lines],
        "crosses": [[cross.arm, *_numbers(cross[1:])] for cross in chart.crosses],
        "ticks": chart.ticks,
        "xLabel": chart.x_label,
        "level": None if chart.level is None else _rounded(chart.level),
        "first": chart.first,
        "spread": chart.spread,
    }


def _grid(grid: Grid) -> dict[str, Any]:
    """Null stands for what was not measured, a word for what is not finite."""
    values = [[_cell(value) for value in row] for row in grid.values]
    return {"names": grid.names, "steps": grid.steps, "values": values, "percent": grid.percent}


def _cell(value: float | None) -> float | str | None:
    if value is None:
        return None
    return float(f"{value:.3g}") if math.isfinite(value) else "not finite"


def _line(line: Line) -> dict[str, Any]:
    made = line._asdict()
    for key in ("x", "y", "low", "high"):
        made[key] = _numbers(made[key])
    made["seeds"] = [[_numbers(part) for part in seed] for seed in line.seeds]
    return made


def _numbers(values: Iterable[float]) -> list[float | None]:
    return [_rounded(value) for value in values]


def _rounded(value: float) -> float | None:
    if not math.isfinite(value):
        return None
    return value if isinstance(value, int) else float(f"{value:.{DIGITS}g}")
