"""Which arm is best, by validation, and what else a reader of many arms wants to know first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from normwise.lab.effects import Gain, difference
from normwise.lab.summary import ArmSummary
from normwise.records.metric import Metric


class Ranked(NamedTuple):
    """One arm's place.

    Attributes:
        name: of the arm.
        validation: its mean validation metric.
        behind: that minus the best arm's, with Welch's interval where there is one.
        learned: whether the arm learned.
    """

    name: str
    validation: float
    behind: Gain
    learned: bool

    @property
    def within_noise(self) -> bool | None:
        """Whether it cannot be told from the best arm; None where the seeds tell nothing about noise.

        An arm that did not learn is never within noise.
        """
        if not self.learned:
            return False
        if self.behind.difference == 0:
            return True
        return None if self.behind.margin is None else not self.behind.clear


class Ranking(NamedTuple):
    """The arms in order.

    Attributes:
        metric: what they are judged by.
        order: every arm that has a validation value, the best first.
        target: the validation metric that the others are timed to, None where there is none.
        first: the arms that learned and reached the target in the fewest steps, by median.
        first_steps: that median.
        unlearned: the arms that did not learn.
        diverged: how many runs diverged, of how many, by arm.
        failed: the arms of which every run failed.
    """

    metric: Metric
    order: tuple[Ranked, ...]
    target: float | None
    first: tuple[str, ...]
    first_steps: float | None
    unlearned: tuple[str, ...]
    diverged: dict[str, tuple[int, int]]
    failed: tuple[str, ...]

    @property
    def best(self) -> str | None:
        """The arm with the best mean validation metric."""
        return self.order[0].name if self.order else None

    @property
    def clear(self) -> bool:
        """Whether every other arm is behind the best one by more than noise."""
        return all(arm.within_noise is False for arm in self.order[1:])

    @property
    def within_noise(self) -> tuple[str, ...]:
        """The other arms that cannot be told from the best one."""
        return tuple(arm.name for arm in self.order[1:] if arm.within_noise)

    def as_dict(self) -> dict[str, Any]:
        """The ranking as plain data."""
        return {
            "best": self.best,
            "within_noise": list(self.within_noise),
            "order": [
                {"arm": arm.name, "validation_mean": arm.validation, **arm.behind._asdict()} for arm in self.order
            ],
            "first_to_target": list(self.first),
            "did_not_learn": list(self.unlearned),
            "diverged": {name: count for name, (count, _) in self.diverged.items()},
            "failed": list(self.failed),
        }

    @property
    def lines(self) -> list[str]:
        """The ranking in words, a line per fact."""
        others = self.order[1:]
        facts = [
            (f"Best validation {self.metric.label}", self._arms(self.order[:1])),
            ("Within noise of it", self._arms(arm for arm in others if arm.within_noise)),
            ("Behind it", self._arms(arm for arm in others if arm.within_noise is False)),
            ("Behind it, with too few seeds to tell", self._arms(arm for arm in others if arm.within_noise is None)),
            (f"First to {self.metric.write(self.target)}", self._first()),
            ("Did not learn", ", ".join(self.unlearned)),
            ("Diverged", ", ".join(f"{name} ({n} of {runs} runs)" for name, (n, runs) in self.diverged.items())),
            ("Every run failed", ", ".join(self.failed)),
        ]
        return [f"{fact}: {what}." for fact, what in facts if what]

    def _arms(self, arms: Iterable[Ranked]) -> str:
        return ", ".join(f"{arm.name} ({self.metric.write(arm.validation)})" for arm in arms)

    def _first(self) -> str:
        return f"{' and '.join(self.first)}, after {self.first_steps:,.0f} steps" if self.first else ""


def rank(arms: Sequence[ArmSummary], target: float | None) -> Ranking:
    """Rank one or more arms by their mean validation metric; of equals the first comes first."""
    metric = arms[0].metric
    known = [(arm, mean) for arm in arms if (mean := arm.validation_mean) is not None]
    known.sort(key=lambda pair: -metric.score(pair[1]))
    learned = [arm for arm in arms if arm.learned]
    fewest = min((arm.steps_to_target for arm in learned if arm.steps_to_target is not None), default=None)
    return Ranking(
        metric=metric,
        order=tuple(Ranked(arm.name, mean, _behind(arm, known[0][0]), bool(arm.learned)) for arm, mean in known),
        target=target,
        first=tuple(arm.name for arm in learned if fewest is not None and arm.steps_to_target == fewest),
        first_steps=fewest,
        unlearned=tuple(arm.name for arm in arms if arm.learned is False),
        diverged={
            arm.name: (count, len(arm.runs)) for arm in arms if (count := sum(r.status == "diverged" for r in arm.runs))
        },
        failed=tuple(arm.name for arm in arms if all(run.status == "failed" for run in arm.runs)),
    )


def _behind(arm: ArmSummary, best: ArmSummary) -> Gain:
    return difference(arm.validations, best.validations) or Gain(0.0, None)
