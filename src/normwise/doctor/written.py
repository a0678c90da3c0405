"""How values of settings and of evidence are written in a report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from normwise.figures import scales

MOST = 8  # entries of a list


def key(name: str) -> str:
    """A key in words."""
    return name.replace("_", " ")


def counted(count: int, what: str) -> str:
    """A number of things: ``1 batch``, ``1,200 steps``."""
    plural = f"{what}es" if what.endswith("ch") else f"{what}s"
    return f"{count:,} {what if count == 1 else plural}"


def value(given: Any) -> str:
    """A value of any kind in a few letters."""
    if isinstance(given, Mapping):
        label = given.get("label")
        return str(label) if label else ", ".join(f"{key(str(name))} {value(each)}" for name, each in given.items())
    if isinstance(given, list | tuple):
        shown = ", ".join(map(value, given[:MOST]))
        return f"{shown} and {len(given) - MOST} more" if len(given) > MOST else shown
    if given is None or isinstance(given, bool):
        return {True: "yes", False: "no", None: "none"}[given]
    if isinstance(given, int):
        return f"{given:,}"
    return number(given) if isinstance(given, float) else str(given)


def number(given: float) -> str:
    """Four digits, or two and a power of ten: ``0.0341``, ``4.1·10⁷``."""
    if not math.isfinite(given):
        return "not finite"
    if given == 0 or 1e-4 <= abs(given) < 1e6:
        return scales.plain(given)
    digits, exponent = f"{given:.1e}".split("e")
    power = scales.power_of_ten(float(f"1e{exponent}"))
    return f"{digits.removesuffix('.0')}·{power}".replace("-", "\N{MINUS SIGN}")
