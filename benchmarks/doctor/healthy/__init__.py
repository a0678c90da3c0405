"""Networks that learn what they are given, with settings that a competent person would use: nothing to warn of."""

from __future__ import annotations

from benchmarks.doctor.case import Case
from benchmarks.doctor.healthy import images, loops, perceptrons, regressions, sequences, settings

CASES: tuple[Case, ...] = (
    *perceptrons.CASES,
    *images.CASES,
    *sequences.CASES,
    *regressions.CASES,
    *settings.CASES,
    *loops.CASES,
)
