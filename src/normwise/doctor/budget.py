"""A budget of time: how it is written, and how a time is said."""

from __future__ import annotations

import math
import re

from normwise.errors import RequestError

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


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
