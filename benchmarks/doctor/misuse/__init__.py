"""Misuse of batch normalization: of each, two positives and two near misses, which look like it and do no harm.

There is no published set; the kinds are those of the questions that people ask (pytorch/pytorch#4741, #5406).
"""

from __future__ import annotations

from benchmarks.doctor.case import Case
from benchmarks.doctor.misuse import batches, modes, statistics, weights

CASES: tuple[Case, ...] = (*batches.CASES, *modes.CASES, *statistics.CASES, *weights.CASES)
