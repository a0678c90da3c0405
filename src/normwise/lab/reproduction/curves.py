"""Curves of the lab's runs: reading them, and drawing those of several seeds as one line."""

from __future__ import annotations

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
    """A part's metric, or its ``loss``, over the steps at which a run was measured."""
    name = what or run.metric.name
    return Curve([line["step"] for line in run.metrics], [line[part][name] for line in run.metrics])


def at(run: RunRecord, step: int, part: str = "validation", what: str | None = None) -> float:
    """The value at a step, or at the last measurement before it."""
    return [value for there, value in zip(*curve(run, part, what), strict=True) if there <= step][-1]


def line(
    runs: Sequence[RunRecord], name: str, place: int, part: str = "validation", what: str | None = None,
    look: lines.Look = "solid",
) -> lines.Line:  # fmt: skip
    """The median over the seeds, with their range as a band; it ends where the first run does."""
    every = [curve(run, part, what) for run in runs]
    steps = min((each.steps for each in every), key=len)
    columns = list(zip(*(each.values[: len(steps)] for each in every), strict=True))
    return lines.Line(name, steps, [median(column) for column in columns], place, look, *_edges(columns))


def _edges(columns: Sequence[Sequence[float]]) -> tuple[list[float], list[float]]:
    many = bool(columns) and len(columns[0]) > 1
    return ([min(column) for column in columns], [max(column) for column in columns]) if many else ([], [])
