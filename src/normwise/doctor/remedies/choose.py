"""Which remedies are tried, and in which order: those that the findings name, and what is useful in general."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from normwise.doctor.finding import Finding
from normwise.doctor.remedies.remedy import Given, Remedy
from normwise.doctor.remedies.table import BY_NAME, REMEDIES

MOST = 6
"""Remedies that are tried unless more are asked for; see ``normwise.doctor.rounds`` for what they take."""

ALWAYS = "batch-normalization"
GENERAL = (
    "relu-he", "lr*10", "lr/10", "adam", "standard-inputs", "standard-targets", "he", "leaky-relu-he", "clip", "lr*100",
    "momentum", "batch-size*4",
)  # fmt: skip
"""What often helps where the findings name too little, the likeliest first."""


def chosen(findings: Sequence[Finding], given: Given, most: int = MOST, refused: Collection[str] = ()) -> list[Remedy]:
    """The remedies to try, the likeliest first: ``batch-normalization`` is always among them where it applies.

    A finding's remedies come in its order. Those of a finding that is one rank behind the root cause begin two places
    later, so that a wrong guess of the cause does not use up all places.

    Args:
        findings: ranked, the root cause first; those of severity ``info`` name nothing that is tried, unless they
            follow from another one.
        given: what the remedies start from.
        most: how many.
        refused: names of those that this network or these data do not take.
    """
    names = dict.fromkeys([*_named(findings), ALWAYS, *GENERAL])
    known = [BY_NAME[name] for name in names if name in BY_NAME and name not in refused]
    found = [remedy for remedy in known if remedy.settings(given) is not None]
    kept = found[:most]
    always = next((remedy for remedy in found if remedy.name == ALWAYS), None)
    return [*kept[:-1], always] if always and always not in kept and kept else kept


def applicable(given: Given) -> list[Remedy]:
    """Every remedy of the table that changes anything of what is given."""
    return [remedy for remedy in REMEDIES if remedy.settings(given) is not None]


def heads(findings: Sequence[Finding]) -> list[str]:
    """The likeliest remedy of each finding, in the order of the findings."""
    return [finding.remedies[0] for finding in findings if _is_treated(finding) and finding.remedies]


def _named(findings: Sequence[Finding]) -> Iterator[str]:
    """Names of remedies, the likeliest first."""
    troubles = [finding for finding in findings if _is_treated(finding)]
    places = [
        (place + 2 * rank, rank, name)
        for rank, finding in enumerate(troubles)
        for place, name in enumerate(finding.remedies)
    ]
    return (name for _, _, name in sorted(places))


def _is_treated(finding: Finding) -> bool:
    """Whether its remedies are tried: a consequence may be the cause after all."""
    return finding.severity.is_trouble or "follows_from" in finding.evidence
