"""Two ways of doing one thing, timed one right after the other."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple


class Pair(NamedTuple):
    """Seconds of the peer and of ours, measured one right after the other."""

    peer: float
    ours: float

    @property
    def figure(self) -> float:
        """What is reported."""
        return self.ratio

    @property
    def ratio(self) -> float:
        """How many times faster ours was."""
        return self.peer / self.ours


def seconds(work: Callable[[], object], calls: int = 1) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        work()
    return time.perf_counter() - start
