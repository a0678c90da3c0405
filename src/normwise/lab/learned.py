"""Whether a run learned anything: more than one lucky evaluation beyond what guessing scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from normwise.lab.task import Task
from normwise.records import RunRecord

SHARE = 0.1
"""The share of a run's evaluations that lie beyond chance one after another, where the run learned."""

Beyond = Callable[[float], bool]


def beyond_chance(task: Task, records: Sequence[RunRecord]) -> Beyond:
    """What tells a validation value from guessing.

    Args:
        task: what is learned.
        records: an arm's runs; where the task has no chance, the best that any of them measured before its first step
            is taken for it.
    """
    if task.chance is not None:
        return task.beyond_chance
    starts = [value for record in records for value in validation(record)[:1] if value is not None]
    return lambda value: not starts or task.metric.better(value, task.metric.best(starts))


def learned(record: RunRecord, beyond: Beyond) -> bool:
    """Whether a run's validation values stayed beyond chance.

    They did at its last two evaluations, or at consecutive ones that are a tenth of all, two at least: a network that
    puts every example into one class now and then crosses chance at a single evaluation, and one that begins to learn
    late has few evaluations left. A run that was evaluated only once after its start learned if that is beyond chance.
    """
    above = [value is not None and beyond(value) for value in validation(record)]
    if len(above) == 2:
        return above[1]
    window = max(2, math.ceil(SHARE * len(above)))
    rows = (above[start : start + window] for start in range(len(above) - window + 1))
    return any(map(all, rows)) or (len(above) > 1 and all(above[-2:]))


def validation(record: RunRecord) -> list[float | None]:
    """The validation metric at each evaluation, None where it was not finite."""
    return [line["validation"][record.metric.name] for line in record.metrics]
