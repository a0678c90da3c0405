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
from normwise.lab.summary import ArmSummary
from normwise.lab.sweep import Sweep
from normwise.records import RunRecord
from normwise.records.study import REPORT


class Results:
    """What a comparison found.

    Attributes:
        directory: the study's directory, with the records, ``report.html`` and ``figures/``.
        task: what is learned.
        metric: what runs are judged by.
        swept: the key beside the learning rate that has several values, None where there is none.
        points: what each arm was tried with, by name.
        sweep: the same, with how it is written.
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
        self.points = {arm.name: arm.points for arm in planned.arms}
        self.sweep = Sweep(self.points, self.swept)
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
        runs = [summary.summarize(record, goal, self._beyond[arm]) for record in self._every(arm, point)]
        return ArmSummary(arm, self._settings(arm, point), self.task, point, tuple(runs))

    def _settings(self, arm: str, point: Point) -> dict[str, Any]:
        """The keys at a point, without the learning rate, and the steps that its runs were given."""
        keys = next(asdict(known.at(point)) for known in self._plan.arms if known.name == arm)
        del keys["lr"]
        steps = next(run.job.settings.steps for run in self._plan.runs if (run.arm, run.point) == (arm, point))
        return {**keys, "steps": steps}

    @property
    def failed(self) -> bool:
        """Whether any run failed, also at a point that is no arm's best."""
        return any(summary.failed(record) for record in self.records)

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
        return verdict.verdict(self.arms, self.baseline, self.ranking, self.sweep, self._at_baselines())

    def _at_baselines(self) -> ArmSummary | None:
        """The other of two arms at the baseline's best point, where it was tried with that and is better at another."""
        point = self.shared_point
        others = [arm for arm in self.arms if arm is not self.baseline]
        if len(others) != 1 or others[0].point == point or point not in self.points[others[0].name]:
            return None
        return self.at(others[0].name, point)

    @property
    def report(self) -> Path:
        """The report: one HTML file that needs nothing else."""
        return self.directory / REPORT

    @property
    def study(self) -> dict[str, Any]:
        """What was asked, with versions, machine and command line: ``study.json``."""
        return self._plan.study

    @property
    def notes(self) -> list[str]:
        """What a reader has to know: places that were not normalized, runs that failed or diverged."""
        lines = [line for arm in self.arms for point in self.points[arm.name] for line in self._ended(arm, point)]
        return [*self.study["notes"], *self._never_better(), *lines]

    def _never_better(self) -> list[str]:
        """Arms with runs whose best step is the start, so that their test metric is that of untrained networks."""
        counts = {arm.name: (sum(run.best_step == 0 for run in arm.counted), len(arm.counted)) for arm in self.arms}
        return [
            f"{name}: {count} of {runs} runs were never better than before training; their best step is 0"
            for name, (count, runs) in counts.items()
            if count
        ]

    def _ended(self, arm: ArmSummary, point: Point) -> list[str]:
        """Runs at a point that diverged or failed; of those that diverged at another than the best, the number."""
        at_best = point == arm.point
        name = arm.name if at_best else f"{arm.name} at {self.sweep.write(point)}"
        told = ("diverged", "failed") if at_best else ("failed",)
        runs = self.at(arm.name, point).runs
        lost = 0 if at_best else sum(run.status == "diverged" for run in runs)
        return [
            *([f"{name}: {lost} of {len(runs)} runs diverged"] if lost else []),
            *(
                f"{name}, seed {run.seed}: {run.status} at step {run.steps:,}: {run.reason}"
                for run in runs
                if run.status in told
            ),
        ]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.directory)!r}): {self.verdict}"
