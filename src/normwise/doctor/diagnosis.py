"""What the doctor found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from normwise.doctor.evidence import Evidence
from normwise.doctor.finding import Finding
from normwise.doctor.treatment import Recommendation, Treatment
from normwise.records.metric import LOSS, Metric


@dataclass(frozen=True)
class Diagnosis(Sequence[Finding]):
    """What the doctor found: a sequence of findings, the root cause first, with what helps.

    Attributes:
        findings: ranked, the root cause first; those of severity ``info`` last.
        evidence: what they were judged by.
        treatments: the remedies that were tried, ``nothing`` first.
        recommendation: None where nothing helped, or nothing was tried.
        verdict: the answer in a few plain sentences.
        report: the HTML file; None where none was written.
        learned: whether the network learned, as it was given.
        notes: what a reader has to know besides.
        metric: what runs, or ways to normalize, are judged by.
        chance: what guessing scores in it; None where there is no telling.
    """

    findings: tuple[Finding, ...]
    evidence: Evidence
    treatments: tuple[Treatment, ...] = ()
    recommendation: Recommendation | None = None
    verdict: str = ""
    report: Path | None = None
    learned: bool = True
    notes: tuple[str, ...] = field(default_factory=tuple)
    metric: Metric = LOSS
    chance: float | None = None

    @property
    def healthy(self) -> bool:
        """Whether no finding is a warning or critical."""
        return not any(finding.severity.is_trouble for finding in self.findings)

    @property
    def cause(self) -> Finding | None:
        """The root cause: the first finding that is a warning or critical; None where the network is healthy."""
        return next((finding for finding in self.findings if finding.severity.is_trouble), None)

    def as_dict(self) -> dict[str, Any]:
        """The diagnosis as plain data: what ``normwise doctor --json`` prints."""
        return {
            "study": "doctor",
            "healthy": self.healthy,
            "learned": self.learned,
            "cause": self.cause.rule if self.cause else None,
            "metric": self.metric._asdict(),
            "chance": self.chance,
            "findings": [finding.as_dict() for finding in self.findings],
            "treatments": [treatment.as_dict() for treatment in self.treatments],
            "recommendation": self.recommendation.as_dict() if self.recommendation else None,
            "verdict": self.verdict,
            "report": str(self.report) if self.report else None,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        return "\n".join([self.verdict, *map(str, self.findings)])

    def __len__(self) -> int:
        return len(self.findings)

    def __getitem__(self, index: Any) -> Any:
        return self.findings[index]
