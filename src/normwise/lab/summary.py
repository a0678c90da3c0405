"""From the records of runs to the numbers of a comparison. Plain functions of plain data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, median, stdev
from typing import Any, NamedTuple

from normwise.lab.arms import Point
from normwise.lab.learned import Beyond, learned, validation
from normwise.lab.task import Task
from normwise.records import RunRecord
from normwise.records.metric import Metric


class RunSummary(NamedTuple):
    """One run in numbers.

    Attributes:
        seed: of the run.
        status: ``finished``, ``diverged``, ``failed``, or ``running`` for one that has not ended.
        steps: how many it made.
        best_step: the step with the best validation metric, whose weights were kept.
        train: the metric at that step, on a sample of the training part.
        validation: on the whole validation part.
        test: on the whole test part.
        steps_to_target: the first evaluation whose validation metric is at least as good as the target, None when there
            is none.
        learned: whether validation stayed beyond chance; see ``normwise.lab.learned``.
        gradient_ratio: the first linear map's gradient norm over the last one's, before the first update.
        seconds: spent in training, without measuring.
        reason: why it ended, where there is more to say than that its steps were made.
    """

    seed: int
    status: str
    steps: int
    best_step: int | None
    train: float | None
    validation: float | None
    test: float | None
    steps_to_target: int | None
    learned: bool
    gradient_ratio: float | None
    seconds: float
    reason: str | None


class ArmSummary(NamedTuple):
    """One arm at one of its points.

    Attributes:
        name: of the arm.
        settings: its keys, and the ``steps`` that its runs were given.
        task: what its runs learn.
        point: its learning rate, and the value of the swept key.
        runs: all of them, also those that failed.
    """

    name: str
    settings: Mapping[str, Any]
    task: Task
    point: Point
    runs: tuple[RunSummary, ...]

    @property
    def metric(self) -> Metric:
        """What its runs are judged by."""
        return self.task.metric

    @property
    def lr(self) -> float:
        """The learning rate."""
        return self.point.lr

    @property
    def counted(self) -> list[RunSummary]:
        """The runs that have a result: those that finished or diverged."""
        return [run for run in self.runs if run.status in ("finished", "diverged")]

    @property
    def learned(self) -> bool | None:
        """Whether more than half of the counted runs learned; None where no run counts."""
        counted = self.counted
        return 2 * sum(run.learned for run in counted) > len(counted) if counted else None

    @property
    def steps_to_target(self) -> float | None:
        """The median over the counted runs, those that never got there being later than any; None for such a one."""
        steps = [math.inf if run.steps_to_target is None else run.steps_to_target for run in self.counted]
        middle = median(steps) if steps else math.inf
        return None if math.isinf(middle) else middle

    @property
    def never(self) -> int:
        """How many of the counted runs never reached the target."""
        return sum(run.steps_to_target is None for run in self.counted)

    @property
    def validations(self) -> list[float]:
        """The validation metric of each counted run that has one."""
        return self._values(lambda run: run.validation)

    @property
    def tests(self) -> list[float]:
        """The test metric of each counted run that has one."""
        return self._values(lambda run: run.test)

    @property
    def test_mean(self) -> float | None:
        """The mean test metric."""
        return self.mean(lambda run: run.test)

    @property
    def test_std(self) -> float | None:
        """The standard deviation of the test metric over the runs; None below two runs."""
        return stdev(self.tests) if len(self.tests) > 1 else None

    @property
    def validation_mean(self) -> float | None:
        """The mean validation metric."""
        return self.mean(lambda run: run.validation)

    def mean(self, value: Callable[[RunSummary], float | None]) -> float | None:
        """The mean of a value over the runs that have it."""
        found = self._values(value)
        return fmean(found) if found else None

    def _values(self, value: Callable[[RunSummary], float | None]) -> list[float]:
        return [number for run in self.counted if (number := value(run)) is not None]


def target(records: Sequence[RunRecord], metric: Metric) -> float | None:
    """The best validation metric, at any one step, of the mean over the runs.

    A finished run that stopped early counts with its last value from then on; one that diverged no longer counts. A
    step at which some value is not finite has no mean. A mean is never better than its best value, also in floating
    point: equal runs all reach their own target.
    """
    by_step = [_by_step(record) for record in records]
    means = []
    for step in sorted({step for curve in by_step for step in curve}):
        values = [_at(step, curve, record) for record, curve in zip(records, by_step, strict=True)]
        present = [value for value in values if value is not None]
        if all(map(math.isfinite, present)):
            means.append(_mean(present, metric))
    return metric.best(means) if means else None


def _by_step(record: RunRecord) -> dict[int, float]:
    """Validation by step; nan where it was not finite."""
    values = (math.nan if value is None else value for value in validation(record))
    return dict(zip((line["step"] for line in record.metrics), values, strict=True))


def _at(step: int, curve: Mapping[int, float], record: RunRecord) -> float | None:
    if step in curve:
        return curve[step]
    stopped = bool(curve) and _done(record)["status"] == "finished" and step > max(curve)
    return curve[max(curve)] if stopped else None


def _mean(values: Sequence[float], metric: Metric) -> float:
    mean, limit = fmean(values), metric.best(values)
    return limit if metric.better(mean, limit) else mean


def summarize(record: RunRecord, goal: float | None, beyond: Beyond) -> RunSummary:
    """One run in numbers.

    Args:
        record: what it left on disk.
        goal: the validation metric that ``steps_to_target`` looks for, None for no target.
        beyond: whether a validation value is beyond chance.
    """
    metric, done, best = record.metric, _done(record), record.best or {}
    parts = {part: best.get(part, {}).get(metric.name) for part in ("train", "validation", "test")}
    return RunSummary(
        seed=record.settings["seed"],
        status=done["status"],
        steps=done["step"],
        best_step=best.get("step"),
        **parts,
        steps_to_target=_first(record, goal),
        learned=learned(record, beyond),
        gradient_ratio=_gradient_ratio(record.metrics[0]["gradients"]) if record.metrics else None,
        seconds=math.fsum(entry.get("train", 0.0) for entry in record.timing),
        reason=done["reason"],
    )


def _done(record: RunRecord) -> Mapping[str, Any]:
    step = record.metrics[-1]["step"] if record.metrics else 0
    return record.done or {"status": "running", "step": step, "reason": None}


def _first(record: RunRecord, goal: float | None) -> int | None:
    """The step of the first evaluation that is at least as good as ``goal``."""
    if goal is None:
        return None
    for line, value in zip(record.metrics, validation(record), strict=True):
        if value is not None and not record.metric.better(goal, value):
            return int(line["step"])
    return None


def _gradient_ratio(gradients: Sequence[Mapping[str, Any]]) -> float | None:
    norms = [entry["norm"] for entry in gradients]
    if len(norms) < 2 or not norms[0] or not norms[-1]:
        return None
    return float(norms[0] / norms[-1])


def failed(record: RunRecord) -> bool:
    """Whether a run failed, so that what it measured before is no result."""
    return bool(_done(record)["status"] == "failed")


def best_value(record: RunRecord) -> float | None:
    """The validation metric on the whole part at the best step; None where there is none or it is not finite."""
    found: float | None = (record.best or {}).get("validation", {}).get(record.metric.name)
    return found


def point_of(record: RunRecord, swept: str | None) -> Point:
    """What a run was tried with; ``swept`` is the key beside the learning rate that has several values."""
    return Point(record.settings["lr"], record.settings[swept] if swept else None)


def best_point(points: Sequence[Point], values: Callable[[Point], Sequence[float | None]], metric: Metric) -> Point:
    """The point whose runs have the best mean of their best validation metrics.

    Runs without such a value count against a point first. Of equals it is the smallest learning rate, and of those the
    first.

    Args:
        points: one or more.
        values: the validation metric of each run at a point.
        metric: what runs are judged by.
    """

    def rank(point: Point) -> tuple[float, float]:
        found = values(point)
        known = [value for value in found if value is not None]
        return (len(known) / len(found), metric.score(fmean(known))) if known else (0.0, -math.inf)

    return max(sorted(points, key=lambda point: point.lr), key=rank)
