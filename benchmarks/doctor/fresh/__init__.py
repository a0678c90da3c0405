"""Cases written after the rules of the doctor, by someone who had not read them: mistakes that people make, networks
that are healthy, and misuses of batch normalization.

Each failing network has one fault, planted in one that otherwise learns; its label holds what is right to call the
cause.
"""

from __future__ import annotations

from benchmarks.doctor.case import Case
from benchmarks.doctor.fresh import loops, misuse, networks_that_learn, objectives, rates, scales, targets, weights

CASES: tuple[Case, ...] = (
    *rates.CASES,
    *weights.CASES,
    *scales.CASES,
    *objectives.CASES,
    *loops.FAILING,
    *networks_that_learn.CASES,
    *targets.CASES,
    *loops.HEALTHY,
    *misuse.CASES,
)
