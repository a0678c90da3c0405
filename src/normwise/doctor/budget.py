"""A budget of time: how it is written, how much of it is left, and how a time is said."""

from __future__ import annotations

import math
import re
import time

from normwise.errors import RequestError

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}

REPORTING = 3.0
"""Seconds that are kept for the report."""

LONG, TIMES = 30.0, 12.0
"""Where a training takes so many seconds or more, all together takes at most so many times as long, on two cores."""


def seconds(text: str | float) -> float:
    """Seconds of a budget: ``90s``, ``10m``, ``1.5h``, or a number of seconds.

    Raises:
        RequestError: it is something else.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([smh]?)\s*", str(text))
    value = float(found[1]) * UNITS[found[2] or "s"] if found else math.nan
    if not (math.isfinite(value) and value > 0):
        raise RequestError(f"budget is {str(text)!r}; allowed: a time such as 90s, 10m or 1.5h")
    return value


def said(seconds: float) -> str:
    """A time in words, as long as it matters: ``8 s``, ``2 min``, ``1.5 h``."""
    if seconds < 99.5:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5970 else f"{seconds / 3600:.1f} h"


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
