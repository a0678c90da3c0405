"""A finding: what a rule says of what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

MOST_NAMES = 3
"""Names that are written one by one."""


def shortened(names: Sequence[str]) -> str:
    """Many names, of layers or parameters: the first, the last and how many."""
    what = "parameters" if all(name.endswith((".weight", ".bias")) for name in names) else "layers"
    return f"{names[0]} to {names[-1]} ({len(names)} {what})"


class Severity(StrEnum):
    """How much a finding matters. ``INFO`` is worth knowing and harms nothing that was seen."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def is_trouble(self) -> bool:
        """Whether a network with such a finding is not healthy."""
        return self is not Severity.INFO


@dataclass(frozen=True)
class Finding:
    """What a rule says of what was measured.

    Attributes:
        rule: the rule's id, for example ``NW101``.
        name: the rule's name, for example ``vanishing-gradient``.
        severity: how much it matters.
        where: dotted names of layers; empty where it is about the whole network or its data.
        since_step: the first step at which it held; None where it is no matter of steps.
        evidence: the numbers by which it was judged, by name.
        remedies: names of the remedies that may cure it, the likeliest first; see ``normwise.doctor.remedies``.
        words: what happens, where, and why that stops training, in one to three plain sentences.
        weight: how much of the trouble it explains, from 0 to 1, by which causes are ranked.
    """

    rule: str
    name: str
    severity: Severity
    where: tuple[str, ...] = ()
    since_step: int | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    remedies: tuple[str, ...] = ()
    words: str = ""
    weight: float = 0.5

    def as_dict(self) -> dict[str, Any]:
        """The finding as plain data, as ``normwise doctor --json`` prints it."""
        return {
            "rule": self.rule,
            "name": self.name,
            "severity": str(self.severity),
            "where": list(self.where),
            "since_step": self.since_step,
            "evidence": dict(self.evidence),
            "remedies": list(self.remedies),
            "words": self.words,
        }

    @property
    def heading(self) -> str:
        """The finding without its words: ``NW101 vanishing-gradient, critical (linear1 to linear20 (20 layers))``."""
        names = shortened(self.where) if len(self.where) > MOST_NAMES else ", ".join(self.where)
        return f"{self.rule} {self.name}, {self.severity}" + (f" ({names})" if names else "")

    def __str__(self) -> str:
        return f"{self.heading}: {self.words}"


class Findings(list[Finding]):
    """Findings that print one on a line."""

    def __str__(self) -> str:
        return "\n".join(map(str, self)) or "no findings"

    __repr__ = __str__
