"""A rule: what it is called, what it judges, by which threshold, and what may cure what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from normwise.doctor.evidence import Evidence
from normwise.doctor.finding import Finding


@dataclass(frozen=True)
class Rule:
    """A rule. Each file of ``normwise.doctor.rules`` has one, called ``RULE``.

    Attributes:
        id: ``NW`` and three digits; it never changes its meaning.
        name: what it finds, in lower case with hyphens.
        meaning: what is the matter, and why that stops training; for somebody who is learning.
        evidence: what it judges.
        threshold: when it speaks, with the numbers.
        source: where the threshold comes from: a publication, a tool, or the figures that it was chosen by.
        remedies: names of the remedies that may cure it, the likeliest first.
        judge: from the evidence to findings; none where the evidence does not say so.
    """

    id: str
    name: str
    meaning: str
    evidence: str
    threshold: str
    source: str
    remedies: tuple[str, ...]
    judge: Callable[[Evidence], Iterable[Finding]]
