from __future__ import annotations

from benchmarks.doctor.case import Case

CASES: tuple[Case, ...] = ()
