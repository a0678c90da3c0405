"""From findings to the root cause: a saturated layer that makes the gradient vanish is one trouble, not two.

A trouble that follows from another one is information. What the remedies gained counts more than what was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from normwise.doctor.evidence import Evidence
from normwise.doctor.finding import Finding, Severity
from normwise.doctor.rules.judging import REFUTED

LEFT_OVER = ("does-not-learn", "learns-less-than-it-could")
"""What is said where nothing else is, the first of them before the second."""
ALL = frozenset({"*"})
SCALE = frozenset(
    {
        "bad-initialization",
        "dead-units",
        "exploding-gradient",
        "ignores-input",
        "learning-rate-too-high",
        "learning-rate-too-low",
        "non-finite",
        "oscillating-loss",
        "saturated-units",
        "vanishing-gradient",
    }
)
CONSEQUENCES: dict[str, frozenset[str]] = {
    "gradients-not-cleared": ALL,
    "parameters-not-updated": ALL,
    "sorted-batches": ALL,
    "weight-decay-too-high": SCALE,
    "output-does-not-fit-loss": SCALE - {"exploding-gradient"} | {"parameters-not-updated"},
    "frozen-normalization": SCALE,
    "zero-gamma": SCALE,
    "poisoned-statistics": frozenset({"non-finite"}),
    "unscaled-inputs": SCALE,
    "unscaled-targets": SCALE,
    "bad-initialization": SCALE - {"bad-initialization", "vanishing-gradient", "learning-rate-too-low"},
    "exploding-gradient": frozenset(
        {"ignores-input", "learning-rate-too-high", "non-finite", "oscillating-loss", "poisoned-statistics"}
    ),
    "learning-rate-too-high": (SCALE | {"poisoned-statistics"})
    - {"bad-initialization", "learning-rate-too-high", "learning-rate-too-low"},
    "dead-units": frozenset({"vanishing-gradient", "ignores-input", "learning-rate-too-low"}),
    "vanishing-gradient": frozenset(
        {
            "bad-initialization",
            "dead-units",
            "ignores-input",
            "learning-rate-too-low",
            "oscillating-loss",
            "saturated-units",
        }
    ),
    "saturated-units": frozenset({"ignores-input", "learning-rate-too-low"}),
    "learning-rate-too-low": frozenset({"ignores-input"}),
}
"""What follows from what: from a cause to the troubles that it brings about."""


def ranked(findings: Sequence[Finding], evidence: Evidence) -> list[Finding]:
    """The findings in order: the root cause first, those of severity ``info`` last.

    A finding that follows from another one is information, and has in its evidence, as ``follows_from``, the name of
    the likeliest cause. So is one whose remedies gained nothing where those of another one helped much. Otherwise the
    one whose remedy gained more is first, then one that is critical in more runs, then the heavier one. That the
    network does not learn is said only where no other trouble is.
    """
    troubles = [finding for finding in findings if finding.severity.is_trouble and finding.name not in LEFT_OVER]
    standing = [finding for finding in troubles if not finding.evidence.get(REFUTED)]
    if standing:
        refuted = [each for each in troubles if each.evidence.get(REFUTED) and not _causes(each, standing)]
        findings = [_lowered(each) if each in refuted else each for each in findings]
        troubles = standing
    left = [finding for finding in findings if finding.name in LEFT_OVER and not troubles]
    kept = [finding for finding in findings if finding.name not in LEFT_OVER or finding in _first_trouble(left)]
    roots = _roots(troubles)
    causes = {id(each): [] if each in roots else _causes(each, troubles) for each in kept}

    def key(finding: Finding) -> tuple[bool, bool, float, bool, float]:
        gain = finding.evidence.get("gain") or 0.0
        minor = any(_outranks(other, finding) for other in troubles)
        return not finding.severity.is_trouble, bool(causes[id(finding)]), -gain, minor, -finding.weight

    return [_marked(finding, causes[id(finding)], roots) for finding in sorted(kept, key=key)]


def _first_trouble(left: Sequence[Finding]) -> Sequence[Finding]:
    """Of what is left over the first that is a trouble, and what is none."""
    troubles = sorted((each for each in left if each.severity.is_trouble), key=lambda each: LEFT_OVER.index(each.name))
    return [*troubles[:1], *(each for each in left if not each.severity.is_trouble)]


def _lowered(finding: Finding) -> Finding:
    return replace(finding, severity=Severity.INFO)


def _outranks(one: Finding, other: Finding) -> bool:
    """Whether one is critical in more runs than the other, which is not critical, was seen in."""
    critical = one.severity is Severity.CRITICAL and other.severity is not Severity.CRITICAL
    return critical and _share(one) > _share(other)


def _share(finding: Finding) -> float:
    """The share of the runs in which it was seen."""
    return float(finding.evidence.get("runs", 1) / finding.evidence.get("of", 1))


def _roots(troubles: Sequence[Finding]) -> list[Finding]:
    """Those from which all others follow: what follows from none, and the heaviest of each circle."""
    roots = [each for each in troubles if not _causes(each, troubles)]
    left = _unexplained(roots, troubles)
    while left:
        roots.append(max(left, key=lambda each: each.weight))
        left = _unexplained(roots, troubles)
    return roots


def _unexplained(roots: Sequence[Finding], troubles: Sequence[Finding]) -> list[Finding]:
    """What does not follow from the roots, directly or through others."""
    known, left = list(roots), [each for each in troubles if each not in roots]
    while found := [each for each in left if _causes(each, known)]:
        known += found
        left = [each for each in left if each not in found]
    return left


def _causes(finding: Finding, troubles: Sequence[Finding]) -> list[Finding]:
    if not finding.severity.is_trouble:
        return []
    others = [cause for cause in troubles if cause is not finding and not _outranks(finding, cause)]
    return [cause for cause in others if _explains(cause, finding)]


def _explains(cause: Finding, finding: Finding) -> bool:
    """Whether a trouble brings another one about."""
    if cause.name == "non-finite" and cause.evidence.get("what") == "input":
        return True
    if finding.name == "non-finite" and finding.evidence.get("what") == "input":
        return False
    consequences = CONSEQUENCES.get(cause.name, frozenset())
    if consequences is ALL:
        if cause.name == "parameters-not-updated" and finding.name == "output-does-not-fit-loss":
            return False  # an output that is flat lets no gradient through, and not the reverse
        return CONSEQUENCES.get(finding.name) is not ALL or finding.weight < cause.weight
    if finding.name not in consequences:
        return False
    if cause.name == "learning-rate-too-high":
        return _came_later(finding)
    if cause.name == "exploding-gradient" and finding.name == "learning-rate-too-high":
        return not _came_later(cause)
    if cause.name == "bad-initialization":
        return "factor" not in cause.evidence or finding.name != "dead-units"
    if {cause.name, finding.name} == {"vanishing-gradient", "dead-units"}:
        return cause.weight > finding.weight
    return finding.name != "bad-initialization" or cause.name != "vanishing-gradient" or "factor" in finding.evidence


def _came_later(finding: Finding) -> bool:
    """Whether a trouble came only after updates had been made: a learning rate does nothing before."""
    if finding.name in ("dead-units", "vanishing-gradient"):
        return not finding.evidence.get("from_the_start", False)
    if finding.name == "non-finite":
        return finding.evidence.get("what") == "weight" or (finding.since_step or 2) > 1
    if finding.name in ("exploding-gradient", "saturated-units"):
        return (finding.since_step or 1) > 1
    return True


def _marked(finding: Finding, causes: Sequence[Finding], roots: Sequence[Finding]) -> Finding:
    if not causes:
        return finding
    likeliest = max(causes, key=lambda cause: (cause in roots, cause.weight))
    return replace(_lowered(finding), evidence={**finding.evidence, "follows_from": likeliest.name})
