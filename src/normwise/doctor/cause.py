"""From findings to the root cause: a saturated layer that makes the gradient vanish is one trouble, not two."""

from __future__ import annotations

from collections.abc import Sequence

from normwise.doctor.evidence import Evidence
from normwise.doctor.finding import Finding


def ranked(findings: Sequence[Finding], evidence: Evidence) -> list[Finding]:
    """The findings in order: the root cause first, those of severity ``info`` last."""
    raise NotImplementedError
