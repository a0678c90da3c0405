"""A comparison as plain data: what ``normwise compare --json`` prints."""

from __future__ import annotations

from typing import Any

from normwise.lab.arms import Point
from normwise.lab.results import Results
from normwise.lab.summary import ArmSummary, RunSummary


def as_dict(result: Results) -> dict[str, Any]:
    """The question, each arm at its best point and at each of several, the ranking and the verdict."""
    return {
        "study": str(result.directory),
        "task": result.task.kind,
        "metric": result.metric.name,
        "higher_is_better": result.metric.higher_is_better,
        "baseline": result.baseline.name,
        "target": result.target,
        "arms": [_arm(result, arm) for arm in result.arms],
        "ranking": result.ranking.as_dict(),
        "verdict": result.verdict,
        "report": str(result.report),
    }


def _arm(result: Results, arm: ArmSummary) -> dict[str, Any]:
    together = result.ensembles[arm.name]
    rates = {"rates": [_point(result, arm.name, point) for point in result.points[arm.name]]}
    return {
        "name": arm.name,
        "settings": dict(arm.settings),
        **_numbers(arm, result.target),
        "ensemble": None if together is None else together._asdict(),
        **(rates if result.sweep.several else {}),
    }


def _point(result: Results, arm: str, point: Point) -> dict[str, Any]:
    found = result.at(arm, point)
    swept = {result.swept: point.value} if result.swept else {}
    return {**swept, **_numbers(found, result.target), "validation_mean": found.validation_mean}


def _numbers(arm: ArmSummary, target: float | None) -> dict[str, Any]:
    return {
        "lr": arm.lr,
        "test_mean": arm.test_mean,
        "test_std": arm.test_std,
        "learned": arm.learned,
        "steps_to_target": arm.steps_to_target,
        "never": None if target is None else arm.never,
        "runs": [_run(run) for run in arm.runs],
    }


def _run(run: RunSummary) -> dict[str, Any]:
    keys = ("seed", "status", "steps", "best_step", "train", "validation", "test", "steps_to_target")
    return {key: getattr(run, key) for key in keys} | ({} if run.reason is None else {"reason": run.reason})
