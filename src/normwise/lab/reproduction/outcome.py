"""What came of a study's trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from normwise.lab.reproduction.asked import Asked, Scale
from normwise.records import RunRecord


@dataclass(frozen=True)
class Outcome:
    """The records of a study's trials.

    Attributes:
        asked: what was asked of the study.
        runs: by arm, in the order of the plan, the runs that finished or diverged, by seed.
        measured: by name, in the order of the plan, what each measurement returned.
        failed: by arm or name, why a trial failed.
    """

    asked: Asked
    runs: Mapping[str, tuple[RunRecord, ...]] = field(default_factory=dict)
    measured: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def scale(self) -> Scale:
        """How much was run."""
        return self.asked.scale

    def diverged(self, arm: str) -> int:
        """How many runs of an arm diverged."""
        return sum((run.done or {}).get("status") == "diverged" for run in self.runs[arm])

    def test(self, arm: str) -> list[float]:
        """Of each run that has one, the metric on the whole test part at the best step by validation."""
        return self.at_best(arm, "test")

    def at_best(self, arm: str, part: str) -> list[float]:
        """Of each run that has one, the metric on ``train``, ``validation`` or ``test`` at the best step."""
        return [run.best[part][run.metric.name] for run in self.runs[arm] if run.best is not None]
