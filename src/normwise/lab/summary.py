"""From the records of runs to the numbers of a comparison. Plain functions of plain data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, median, stdev
from typing import Any, NamedTuple

from normwise.records import RunRecord

Line = Mapping[str, Any]


class RunSummary(NamedTuple):
    """One run in numbers.

    ``train``, ``validation`` and ``test`` are accuracies at ``best_step``, the first evaluation with the highest
    validation accuracy. ``steps_to_target`` is the first evaluation whose validation accuracy is at or above the
    target, None when there is none. ``gradient_ratio`` is the first linear map's gradient norm over the last one's,
    before the first update. ``seconds`` are those spent in training, without measuring.
    """

    seed: int
    status: str
    steps: int
    best_step: int | None
    train: float | None
    validation: float | None
    test: float | None
    steps_to_target: int | None
    gradient_ratio: float | None
    seconds: float
    reason: str | None


class ArmSummary(NamedTuple):
    """One arm at one learning rate: its runs, and the test accuracy over those that did not fail.

    ``test_std`` is None below two runs. ``steps_to_target`` is the median over the runs, a run that never got there
    counting as later than any that did; None when that median is such a run. ``never`` counts those runs.
    """

    name: str
    settings: Mapping[str, Any]
    lr: float
    runs: tuple[RunSummary, ...]
    test_mean: float | None
    test_std: float | None
    steps_to_target: float | None
    never: int

    @property
    def counted(self) -> list[RunSummary]:
        """The runs that have a result: those that finished or diverged, not those that failed."""
        return [run for run in self.runs if run.status != "failed"]

    def mean(self, value: Callable[[RunSummary], float | None]) -> float | None:
        """The mean of a value over the runs that have it."""
        found = [number for run in self.counted if (number := value(run)) is not None]
        return fmean(found) if found else None


def best(record: RunRecord) -> Line | None:
    """The first evaluation with the highest validation accuracy; None for a run without any."""
    return max(record.metrics, key=lambda line: line["validation"]["accuracy"], default=None)


def target(records: Sequence[RunRecord]) -> float | None:
    """The highest validation accuracy, at any one step, of the mean over the runs that reached that step.

    A mean is never above its largest value, also in floating point: equal runs all reach their own target.
    """
    by_step: dict[int, list[float]] = {}
    for record in records:
        for line in record.metrics:
            by_step.setdefault(line["step"], []).append(line["validation"]["accuracy"])
    return max((min(fmean(values), max(values)) for values in by_step.values()), default=None)


def summarize(record: RunRecord, goal: float | None) -> RunSummary:
    """One run in numbers; ``goal`` is the validation accuracy that ``steps_to_target`` looks for."""
    line = best(record)
    done = record.done or {"status": "failed", "step": 0, "reason": "the run did not end"}
    reached = (
        entry["step"] for entry in record.metrics if goal is not None and entry["validation"]["accuracy"] >= goal
    )
    return RunSummary(
        seed=record.settings["seed"],
        status=done["status"],
        steps=done["step"],
        best_step=None if line is None else line["step"],
        train=None if line is None else line["train"]["accuracy"],
        validation=None if line is None else line["validation"]["accuracy"],
        test=None if line is None else line["test"]["accuracy"],
        steps_to_target=next(reached, None),
        gradient_ratio=_gradient_ratio(record.metrics[0]["gradients"]) if record.metrics else None,
        seconds=math.fsum(entry.get("train", 0.0) for entry in record.timing),
        reason=done["reason"],
    )


def _gradient_ratio(gradients: Sequence[Mapping[str, Any]]) -> float | None:
    norms = [entry["norm"] for entry in gradients]
    if len(norms) < 2 or not norms[0] or not norms[-1]:
        return None
    return float(norms[0] / norms[-1])


def summarize_arm(name: str, settings: Mapping[str, Any], lr: float, runs: Sequence[RunSummary]) -> ArmSummary:
    """One arm at one learning rate: one or more runs of it, all with the same settings but for the seed."""
    counted = [run for run in runs if run.status != "failed"]
    tests = [run.test for run in counted if run.test is not None]
    steps = [run.steps_to_target for run in counted]
    middle = median(math.inf if step is None else step for step in steps) if steps else math.inf
    return ArmSummary(
        name=name,
        settings=settings,
        lr=lr,
        runs=tuple(runs),
        test_mean=fmean(tests) if tests else None,
        test_std=stdev(tests) if len(tests) > 1 else None,
        steps_to_target=None if math.isinf(middle) else middle,
        never=steps.count(None),
    )


def failed(record: RunRecord) -> bool:
    """Whether a run has no result: it failed, or did not end."""
    return record.done is None or record.done["status"] == "failed"


def best_rate(records: Sequence[RunRecord]) -> float | None:
    """The learning rate whose runs have the highest mean best validation accuracy; of equals, the smallest.

    A run that diverged counts with its best evaluation before that. None where no run was evaluated.
    """
    scores: dict[float, list[float]] = {}
    for record in records:
        line = best(record)
        if line is not None:
            scores.setdefault(record.settings["lr"], []).append(line["validation"]["accuracy"])
    return max(sorted(scores), key=lambda lr: fmean(scores[lr]), default=None)
