"""What came of a reproduction: its claims beside the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from normwise.lab.panels import Panel
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Study, Verdict
from normwise.records.study import REPORT


@dataclass(frozen=True)
class Reproduction:
    """What came of a study.

    Attributes:
        study: the study.
        outcome: the records of its trials.
        claims: each claim with its judgment.
        directory: where everything lies.
        command: the command line that makes it again.
    """

    study: Study
    outcome: Outcome
    claims: Sequence[tuple[Claim, Judged]]
    directory: Path
    command: str

    @property
    def verdict(self) -> str:
        """How many claims hold, in words."""
        return verdict([found.verdict for _, found in self.claims])

    @cached_property
    def panels(self) -> Sequence[Panel]:
        """The figures; none where a trial failed."""
        return () if self.outcome.failed else self.study.figures(self.outcome)

    @property
    def report(self) -> Path:
        """The page."""
        return self.directory / REPORT

    def as_dict(self) -> dict[str, Any]:
        """The result as plain data for JSON."""
        return {
            "study": self.study.name,
            "scale": str(self.outcome.scale),
            "source": self.study.source,
            "claims": [
                {"claim": claim.text, "verdict": str(found.verdict), "words": found.words,
                 "evidence": dict(found.evidence)}
                for claim, found in self.claims
            ],
            "figures": [str(self.directory / "figures" / f"{panel.name}.svg") for panel in self.panels],
            "report": str(self.report),
        }  # fmt: skip


def judgments(study: Study, outcome: Outcome) -> list[tuple[Claim, Judged]]:
    """Every claim beside the numbers; undecided where a trial failed."""
    if outcome.failed:
        why = "; ".join(f"{name} failed: {reason}" for name, reason in outcome.failed.items())
        return [(claim, Judged(Verdict.UNDECIDED, why)) for claim in study.claims]
    return [(claim, claim.judge(outcome)) for claim in study.claims]


def verdict(found: Sequence[Verdict]) -> str:
    """How many claims hold, in words."""
    counts = {kind: found.count(kind) for kind in Verdict if kind in found}
    if len(counts) == 1 and len(found) == 1:
        return str(found[0])
    said = [f"{count} {'hold' if kind is Verdict.HOLDS and count > 1 else kind}" for kind, count in counts.items()]
    said = [each.replace("does not hold", "do not hold") if not each.startswith("1 ") else each for each in said]
    return f"{', '.join(said)} (of {len(found)} claims)" if len(counts) > 1 else f"all {len(found)} {_all(found[0])}"


def _all(kind: Verdict) -> str:
    return {Verdict.HOLDS: "hold", Verdict.FAILS: "do not hold", Verdict.UNDECIDED: "undecided"}[kind]
