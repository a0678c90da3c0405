"""The rules, and judging evidence by all of them. A rule is a file; it measures nothing."""

from __future__ import annotations

from collections.abc import Collection

from normwise.doctor.evidence import Evidence
from normwise.doctor.finding import Finding
from normwise.doctor.rule import Rule

RULES: tuple[Rule, ...] = ()
"""In the order of their ids."""


def judged(evidence: Evidence, ignore: Collection[str] = ()) -> list[Finding]:
    """The findings of all rules but the ignored ones (ids or names), the root cause first."""
    from normwise.doctor.cause import ranked

    asked = [rule for rule in RULES if not {rule.id, rule.name} & set(ignore)]
    return ranked([finding for rule in asked for finding in rule.judge(evidence)], evidence)
