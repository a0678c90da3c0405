"""How much time a diagnosis has left."""

from __future__ import annotations

import math
import time

REPORTING = 3.0
"""Seconds that are kept for the report."""

LONG, TIMES = 30.0, 12.0
"""Where a training takes so many seconds or more, all together takes at most so many times as long, on two cores."""


class Clock:
    """The time of one diagnosis, from its beginning.

    Args:
        seconds: the budget; None for no limit.
    """

    def __init__(self, seconds: float | None) -> None:
        self._began = time.monotonic()
        self._until = math.inf if seconds is None else self._began + seconds - REPORTING

    @property
    def left(self) -> float:
        """Seconds that are left; infinitely many without a limit."""
        return self._until - time.monotonic()

    def limit(self, seconds: float, workers: int) -> None:
        """Keep the time within ``TIMES`` trainings of so many seconds each, where they are long."""
        if seconds >= LONG:
            longest = TIMES * seconds * max(1.0, 2 / workers)
            self._until = min(self._until, self._began + longest - REPORTING)
