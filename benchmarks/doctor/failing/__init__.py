"""Networks that fail to train, written after published cases: structure and settings, no code.

Sources: AUTOTRAINER (Zhang et al., ICSE 2021), DeepDiagnosis (Wardat et al., ICSE 2022), TheDeepChecker (Ben Braiek and
Khomh), TrainCheck (Jiang et al., OSDI 2025), and questions on StackOverflow by their numbers, most of them collected by
DeepLocalize (Wardat et al., ICSE 2021). A label holds what the source names; where a source injected a fault, the fault
and what it leads to are both right.
"""

from __future__ import annotations

from benchmarks.doctor.case import Case
from benchmarks.doctor.failing import deep, initial, loops, outputs, rates, scales

CASES: tuple[Case, ...] = (
    *deep.CASES,
    *initial.CASES,
    *rates.CASES,
    *scales.CASES,
    *outputs.CASES,
    *loops.CASES,
)
