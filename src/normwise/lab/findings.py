"""What a comparison found, in numbers and sentences."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from normwise.lab import summary, verdict
from normwise.lab.plan import Plan
from normwise.lab.summary import ArmSummary, RunSummary
from normwise.records import RunRecord


class Findings:
    """What a comparison found.

    Attributes:
        directory: the study's directory, with the records, ``report.html`` and ``figures/``.
        arms: one summary per arm, at the arm's best learning rate by validation accuracy.
        baseline: the arm that the others are compared with.
        target: the baseline's best mean validation accuracy.
        verdict: one plain sentence with its uncertainty.
        records: every run's record.
    """

    def __init__(self, planned: Plan) -> None:
        self._plan = planned
        self.directory = planned.out
        self.records = [run.record() for run in planned.runs]
        self._steps = {run.arm: run.job.settings["steps"] for run in planned.runs}
        self.best_rates = {arm.name: summary.best_rate(self.of(arm.name)) or arm.rates[0] for arm in planned.arms}
        names = [arm.name for arm in planned.arms]
        self._baseline = "plain" if "plain" in names else names[0]
        self.target = summary.target(self.of(self._baseline, self.best_rates[self._baseline]))
        self.arms = [self.at(name, self.best_rates[name]) for name in names]
        self.verdict = self._verdict()

    @property
    def at_chance(self) -> bool:
        """Whether the target is within two standard errors of what naming the commonest class would get."""
        labels = self._plan.data.validation.y
        share = float(np.bincount(labels).max() / len(labels))
        margin = 2 * math.sqrt(share * (1 - share) / len(labels))
        return self.target is not None and self.target <= share + margin

    @property
    def baseline(self) -> ArmSummary:
        """The arm called ``plain``, else the first."""
        return next(arm for arm in self.arms if arm.name == self._baseline)

    @property
    def shared_rate(self) -> float:
        """The baseline's best learning rate, at which the arms are also compared where there are several."""
        return self.best_rates[self._baseline]

    @property
    def rates(self) -> dict[str, tuple[float, ...]]:
        """The learning rates that each arm was trained with."""
        return {arm.name: arm.rates for arm in self._plan.arms}

    def of(self, arm: str, lr: float | None = None) -> list[RunRecord]:
        """The records of one arm, at one learning rate or at all, without the runs that failed."""
        return [record for record in self._every(arm, lr) if not summary.failed(record)]

    def _every(self, arm: str, lr: float | None) -> list[RunRecord]:
        return [one for one in self.records if one.settings["arm"] == arm and lr in (None, one.settings["lr"])]

    def at(self, arm: str, lr: float) -> ArmSummary:
        """An arm's summary at one of its learning rates."""
        settings = next(known.settings for known in self._plan.arms if known.name == arm)
        runs = [summary.summarize(record, self.target) for record in self._every(arm, lr)]
        return summary.summarize_arm(arm, {**settings, "steps": self._steps[arm]}, lr, runs)

    @property
    def best_records(self) -> list[RunRecord]:
        """The records of every arm at its best learning rate."""
        return [record for arm in self.arms for record in self.of(arm.name, arm.lr)]

    def _verdict(self) -> str:
        others = [arm for arm in self.arms if arm is not self.baseline]
        if self.at_chance and others:
            return verdict.unlearned(self.baseline, others)
        said = verdict.headline(self.baseline, others)
        if all(len(rates) == 1 for rates in self.rates.values()):
            return said
        rates = ", ".join(f"{arm.name} {arm.lr:g}" for arm in self.arms)
        return f"Each arm at its best learning rate ({rates}): {said}{self._at_shared_rate()}"

    def _at_shared_rate(self) -> str:
        lr = self.shared_rate
        shared = [self.at(arm.name, lr) for arm in self.arms if lr in self.rates[arm.name]]
        if len(shared) < 2 or all(arm.lr == lr for arm in self.arms):
            return ""
        others = [arm for arm in shared if arm.name != self._baseline]
        return f" Each at {self._baseline}'s best rate, {lr:g}: {verdict.headline(self.baseline, others)}"

    def as_dict(self) -> dict[str, Any]:
        """The comparison as plain data: what ``normwise compare --json`` prints."""
        several = any(len(rates) > 1 for rates in self.rates.values())
        return {
            "study": str(self.directory),
            "metric": "accuracy",
            "baseline": self._baseline,
            "target": self.target,
            "arms": [
                _arm_dict(arm)
                | ({"rates": [_rate_dict(self.at(arm.name, lr)) for lr in self.rates[arm.name]]} if several else {})
                for arm in self.arms
            ],
            "verdict": self.verdict,
            "report": str(self.report),
        }

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
            if run.status != "finished"
        ]
        return [*self.study["notes"], *ended]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.directory)!r}): {self.verdict}"


def _arm_dict(arm: ArmSummary) -> dict[str, Any]:
    return {
        "name": arm.name,
        "settings": dict(arm.settings),
        "lr": arm.lr,
        "test_mean": arm.test_mean,
        "test_std": arm.test_std,
        "steps_to_target": arm.steps_to_target,
        "never": arm.never,
        "runs": [_run_dict(run) for run in arm.runs],
    }


def _run_dict(run: RunSummary) -> dict[str, Any]:
    keys = ("seed", "status", "steps", "best_step", "train", "validation", "test", "steps_to_target")
    return {key: getattr(run, key) for key in keys} | ({} if run.reason is None else {"reason": run.reason})


def _rate_dict(arm: ArmSummary) -> dict[str, Any]:
    shown = _arm_dict(arm)
    del shown["name"], shown["settings"]
    return {**shown, "validation_mean": arm.mean(lambda run: run.validation)}
