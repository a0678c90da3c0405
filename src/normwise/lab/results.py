"""What a comparison found, in numbers and sentences."""

from __future__ import annotations

from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from normwise.lab import summary, verdict
from normwise.lab.arms import Arm, Point
from normwise.lab.ensemble import Ensemble, ensemble
from normwise.lab.factory import resolve
from normwise.lab.learned import beyond_chance
from normwise.lab.plan import Plan
from normwise.lab.ranking import Ranking, rank
from normwise.lab.summary import ArmSummary, RunSummary
from normwise.records import RunRecord


class Results:
    """What a comparison found.

    Attributes:
        directory: the study's directory, with the records, ``report.html`` and ``figures/``.
        task: what is learned.
        metric: what runs are judged by.
        swept: the key beside the learning rate that has several values, None where there is none.
        points: what each arm was tried with, by name.
        best_points: the point of each arm with the best mean validation metric.
        arms: one summary per arm, at its best point.
        target: the best mean validation metric of the baseline; None where that did not learn.
        title: the question in a few words, with the arms and the data.
        verdict: the answer in one or two sentences, with its uncertainty.
        ranking: the arms in order of their validation metric.
        records: every run's record.
    """

    def __init__(self, planned: Plan) -> None:
        self._plan = planned
        self.directory = planned.out
        self.task, self.metric, self.swept = planned.task, planned.task.metric, planned.swept
        self.records = [run.record() for run in planned.runs]
        self._steps = {run.arm: run.job.settings.steps for run in planned.runs}
        self.points = {arm.name: arm.points for arm in planned.arms}
        self._beyond = {arm.name: beyond_chance(self.task, self.of(arm.name)) for arm in planned.arms}
        self.best_points = {arm.name: self._best_point(arm) for arm in planned.arms}
        self.target = self._target()
        self.arms = [self.at(arm.name, self.best_points[arm.name]) for arm in planned.arms]
        self.title = verdict.title([arm.name for arm in self.arms], self.study["data"])
        self.ranking: Ranking = rank(self.arms, self.target)
        self.verdict = self._verdict()

    def _best_point(self, arm: Arm) -> Point:
        def values(point: Point) -> list[float | None]:
            return [summary.best_value(record) for record in self.of(arm.name, point)]

        return summary.best_point(arm.points, values, self.metric)

    def _target(self) -> float | None:
        """The baseline's best mean validation metric, where it learned and that is beyond chance."""
        name = self._plan.baseline
        at_best, beyond = self.best_points[name], self._beyond[name]
        found = summary.target(self.of(name, at_best), self.metric)
        learned = self._summary(name, at_best, None).learned
        return found if learned and found is not None and beyond(found) else None

    @property
    def baseline(self) -> ArmSummary:
        """The arm that the others are compared with."""
        return next(arm for arm in self.arms if arm.name == self._plan.baseline)

    @property
    def shared_point(self) -> Point:
        """The baseline's best point, at which the arms are also compared where there are several."""
        return self.best_points[self._plan.baseline]

    def of(self, arm: str, point: Point | None = None) -> list[RunRecord]:
        """The records of one arm, at one point or at all, without the runs that failed."""
        return [record for record in self._every(arm, point) if not summary.failed(record)]

    def _every(self, arm: str, point: Point | None) -> list[RunRecord]:
        ours = [record for record in self.records if record.settings["arm"] == arm]
        return [record for record in ours if point in (None, summary.point_of(record, self.swept))]

    def at(self, arm: str, point: Point) -> ArmSummary:
        """An arm's summary at one of its points."""
        return self._summary(arm, point, self.target)

    def _summary(self, arm: str, point: Point, goal: float | None) -> ArmSummary:
        keys = next(asdict(known.keys) for known in self._plan.arms if known.name == arm)
        del keys["lr"]
        swept = {self.swept: point.value} if self.swept else {}
        runs = [summary.summarize(record, goal, self._beyond[arm]) for record in self._every(arm, point)]
        settings = {**keys, **swept, "steps": self._steps[arm]}
        return ArmSummary(arm, settings, self.task, point, tuple(runs))

    @property
    def best_records(self) -> list[RunRecord]:
        """The records of every arm at its best point."""
        return [record for arm in self.arms for record in self.of(arm.name, arm.point)]

    @cached_property
    def ensembles(self) -> dict[str, Ensemble | None]:
        """What the averaged outputs of each arm's runs score on test data, at its best point."""
        return {arm.name: self._ensemble(arm) for arm in self.arms}

    def _ensemble(self, arm: ArmSummary) -> Ensemble | None:
        source = self._plan.runs[0].job.own.get("metric")
        own = None if source is None else resolve(source, what="metric").callable
        return ensemble([record.directory for record in self.of(arm.name, arm.point)], self.task, own)

    @property
    def ranking_lines(self) -> list[str]:
        """The ranking in words, a line per fact, where the verdict does not say it all: with more than two arms."""
        return self.ranking.lines if len(self.arms) > 2 else []

    def _verdict(self) -> str:
        ended = sum(record.done is not None for record in self.records)
        if ended < len(self.records):
            return f"No verdict yet: {ended} of {len(self.records)} runs have ended."
        others = [arm for arm in self.arms if arm is not self.baseline]
        said = verdict.headline(self.baseline, others, self.ranking)
        if not self._several:
            return said
        points = ", ".join(f"{arm.name} {self._write(arm.point)}" for arm in self.arms)
        chosen = f" ({points})" if len(self.arms) <= 2 else ""
        return f"Each arm at its best {self._varied('learning rate')}{chosen}: {said}{self._at_shared_point()}"

    @property
    def _several(self) -> bool:
        """Whether some arm was tried with more than one point."""
        return any(len(points) > 1 for points in self.points.values())

    def _varied(self, rate: str) -> str:
        """What points differ in; ``rate`` is what the learning rate is called."""
        rates = any(len({point.lr for point in points}) > 1 for points in self.points.values())
        return " and ".join([rate] * (rates or not self.swept) + ([self.swept] if self.swept else []))

    def _write(self, point: Point) -> str:
        rate = [] if self.swept and self._varied("") == self.swept else [f"{point.lr:g}"]
        return " and ".join([*rate, *([_text(point.value)] if self.swept else [])])

    def _at_shared_point(self) -> str:
        """The same at the baseline's best point, of two arms that were tried with it and are not both best there."""
        point, name = self.shared_point, self._plan.baseline
        shared = [self.at(arm.name, point) for arm in self.arms if point in self.points[arm.name]]
        if not len(self.arms) == len(shared) == 2 or all(arm.point == point for arm in self.arms):
            return ""
        (other,) = (arm for arm in shared if arm.name != name)
        best = f"{name}'s best {self._varied('rate')}, {self._write(point)}"
        return f" Each at {best}: {verdict.against(self.baseline, other)}"

    def as_dict(self) -> dict[str, Any]:
        """The comparison as plain data: what ``normwise compare --json`` prints."""
        return {
            "study": str(self.directory),
            "task": self.task.kind,
            "metric": self.metric.name,
            "higher_is_better": self.metric.higher_is_better,
            "baseline": self._plan.baseline,
            "target": self.target,
            "arms": [self._arm_dict(arm) for arm in self.arms],
            "ranking": self.ranking.as_dict(),
            "verdict": self.verdict,
            "report": str(self.report),
        }

    def _arm_dict(self, arm: ArmSummary) -> dict[str, Any]:
        together = self.ensembles[arm.name]
        rates = {"rates": [self._point_dict(arm.name, point) for point in self.points[arm.name]]}
        return {
            "name": arm.name,
            "settings": dict(arm.settings),
            **_numbers(arm, self.target),
            "ensemble": None if together is None else together._asdict(),
            **(rates if self._several else {}),
        }

    def _point_dict(self, arm: str, point: Point) -> dict[str, Any]:
        found = self.at(arm, point)
        swept = {self.swept: point.value} if self.swept else {}
        return {**swept, **_numbers(found, self.target), "validation_mean": found.validation_mean}

    @property
    def report(self) -> Path:
        """The report: one HTML file that needs nothing else."""
        return self.directory / "report.html"

    @property
    def study(self) -> dict[str, Any]:
        """What was asked, with versions, machine and command line: ``study.json``."""
        return self._plan.study

    @property
    def notes(self) -> list[str]:
        """What a reader has to know: places that were not normalized, runs that diverged or failed."""
        ended = [
            f"{arm.name}, seed {run.seed}: {run.status} at step {run.steps:,}: {run.reason}"
            for arm in self.arms
            for run in arm.runs
            if run.status in ("diverged", "failed")
        ]
        return [*self.study["notes"], *ended]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.directory)!r}): {self.verdict}"


def _numbers(arm: ArmSummary, target: float | None) -> dict[str, Any]:
    return {
        "lr": arm.lr,
        "test_mean": arm.test_mean,
        "test_std": arm.test_std,
        "learned": arm.learned,
        "steps_to_target": arm.steps_to_target,
        "never": None if target is None else arm.never,
        "runs": [_run_dict(run) for run in arm.runs],
    }


def _run_dict(run: RunSummary) -> dict[str, Any]:
    keys = ("seed", "status", "steps", "best_step", "train", "validation", "test", "steps_to_target")
    return {key: getattr(run, key) for key in keys} | ({} if run.reason is None else {"reason": run.reason})


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
