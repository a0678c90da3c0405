"""How far the y axes reach, so that one spike does not flatten the rest. Plain data, nothing drawn."""

from __future__ import annotations

import math
from collections.abc import Iterable

Limits = tuple[float, float]

FLOOR = 1e-13
"""The least value that a logarithmic axis tells from zero."""


def shares(values: Iterable[float]) -> Limits:
    """Room for every value, all of them between 0 and 1."""
    finite = _finite(values) or [0.0, 1.0]
    room = max(0.04 * (finite[-1] - finite[0]), 0.005)
    low = max(finite[0] - room, -0.02)
    return low, max(finite[-1] + room, 0.05 if low < 0 else 0)  # no ticks below zero where all are about zero


def middle(values: Iterable[float]) -> Limits:
    """Room for 98 of 100 values, and for all where that is at most twice as wide.

    Values that are more than ten times as far from the middle half of all as that half is wide do not count, so that
    one arm that exploded does not flatten the others.
    """
    finite = _near(_finite(values)) or [-1.0, 1.0]
    cut = len(finite) // 100
    low, high = finite[cut], finite[-1 - cut]
    if finite[-1] - finite[0] <= 2 * (high - low):
        low, high = finite[0], finite[-1]
    room = 0.06 * (high - low) or 0.5
    return low - room, high + room


def _near(ordered: list[float]) -> list[float]:
    if not ordered:
        return []
    first, third = ordered[len(ordered) // 4], ordered[-1 - len(ordered) // 4]
    reach = 10 * (third - first)
    return [value for value in ordered if not reach or first - reach <= value <= third + reach]


def good_side(values: Iterable[float], *, higher_is_better: bool) -> Limits:
    """Room for the best value, and for those that are not far worse than it.

    R² has no least value: the first evaluations of a regression can be hundreds below its last ones. The axis ends
    three times as far from the best value b as b is from 0, or as the nearest two fifths of the values are from b,
    whichever is more.
    """
    sign = 1 if higher_is_better else -1
    scores = _finite(sign * value for value in values) or [0.0, 1.0]
    best = scores[-1]
    distances = sorted(best - score for score in scores)
    reach = 3 * max(abs(best), distances[len(distances) * 2 // 5])
    worst = max(scores[0], best - reach) if reach else scores[0]
    room = 0.04 * (best - worst) or 0.05 * abs(best) or 0.5
    low, high = sorted((sign * (worst - room), sign * (best + room)))
    return low, high


def positive(values: Iterable[float], *, floor: float = FLOOR, spike: float = 1000.0) -> Limits:
    """Limits of a logarithmic axis.

    Args:
        values: what is drawn.
        floor: the lowest that the axis begins; what lies below it, zero included, is drawn at its foot.
        spike: the axis ends at the greatest value, but at most at this many times the value that nine of ten are below.
    """
    finite = _finite(values)
    shown = [value for value in finite if value >= floor] or [0.1, 1.0]
    high = min(shown[-1], spike * shown[len(shown) * 9 // 10 - (len(shown) == 1)])
    vanished = len(finite) > 0 and finite[0] < floor
    low = min(shown[0], high)
    return low / (4 if vanished else 1.3), high * 1.3


def clamp(values: Iterable[float], limits: Limits) -> list[float]:
    """The values, those beyond a limit at it; nan stays."""
    low, high = limits
    return [value if math.isnan(value) else min(max(value, low), high) for value in values]


def beyond(values: Iterable[float], limits: Limits) -> int:
    """How many values lie beyond the limits."""
    low, high = limits
    return sum(value < low or value > high for value in values)


def _finite(values: Iterable[float]) -> list[float]:
    return sorted(value for value in values if math.isfinite(value))
