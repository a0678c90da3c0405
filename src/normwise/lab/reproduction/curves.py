"""Curves of the lab's runs: reading them, and drawing those of several seeds as one line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from normwise.figures import lines
from normwise.records import RunRecord


class Curve(NamedTuple):
    """Values by step."""

    steps: list[int]
    values: list[float]


def curve(run: RunRecord, part: str = "validation", what: str | None = None) -> Curve:
    """A part's metric, or its ``loss``, over the steps at which a run was measured; nan where it was not finite."""
    name = what or run.metric.name
    found = [line[part][name] for line in run.metrics]
    return Curve([line["step"] for line in run.metrics], [math.nan if value is None else value for value in found])


def at(run: RunRecord, step: int, part: str = "validation", what: str | None = None) -> float:
    """The value at a step, or at the last measurement before it; nan before the first."""
    return next(
        (value for there, value in reversed(list(zip(*curve(run, part, what), strict=True))) if there <= step), math.nan
    )


def line(
    runs: Sequence[RunRecord], name: str, place: int, part: str = "validation", what: str | None = None,
    look: lines.Look = "solid",
) -> lines.Line:  # fmt: skip
    """The median over the seeds, with their range as a band; it ends where the first run does, or is not finite."""
    every = [curve(run, part, what) for run in runs]
    steps = min((each.steps for each in every), key=len, default=[])
    columns = [
        column if all(map(math.isfinite, column)) else (math.nan,) * len(column)
        for column in zip(*(each.values[: len(steps)] for each in every), strict=True)
    ]
    return lines.Line(name, steps, [median(column) for column in columns], place, look, *_edges(columns))


def _edges(columns: Sequence[Sequence[float]]) -> tuple[list[float], list[float]]:
    many = bool(columns) and len(columns[0]) > 1
    return ([min(column) for column in columns], [max(column) for column in columns]) if many else ([], [])
