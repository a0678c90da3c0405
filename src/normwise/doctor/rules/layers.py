"""Numbers by layer that several rules judge, and how numbers and layers are written."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean, median
from typing import NamedTuple

from normwise.doctor.finding import MOST_NAMES, shortened
from normwise.probes.watched import Observation, Watched, Weights

FIRST = 5
"""Recorded steps that count as the beginning."""


class Profile(NamedTuple):
    """A number by layer, in the order of the forward."""

    layers: tuple[str, ...]
    values: tuple[float, ...]


def gradients(watched: Watched) -> Profile:
    """The root mean square of the elements of each linear map's gradient, the median over the recorded steps.

    Maps without a gradient (frozen ones) are left out; so are steps with gradients that are not finite.
    """
    return _profile(finite(watched), lambda row: row.gradient_per_element)


def relative_gradients(watched: Watched) -> Profile:
    """‖∂loss/∂W‖/‖W‖ of each linear map, the median over the recorded steps."""
    return _profile(finite(watched), lambda row: row.gradient_over_weight)


def updates(observations: Sequence[Observation]) -> Profile:
    """‖ΔW‖/‖W‖ of each linear map, the mean over these steps."""
    return _profile(observations, lambda row: row.update_over_weight, fmean)


def _profile(
    observations: Sequence[Observation],
    number: Callable[[Weights], float | None],
    average: Callable[[Sequence[float]], float] = median,
) -> Profile:
    values: dict[str, list[float]] = {}
    for observation in observations:
        for row in observation.weights:
            value = number(row)
            if value is not None and math.isfinite(value):
                values.setdefault(row.layer, []).append(value)
    return Profile(tuple(values), tuple(map(average, values.values())))


def finite(watched: Watched) -> Sequence[Observation]:
    """The recorded steps before anything was not finite: behind it, a number says nothing of its layer."""
    broken = watched.not_finite
    if broken is None or broken.what == "gradient":
        return [seen for seen in watched.observations if math.isfinite(seen.loss)]
    return [seen for seen in watched.observations if seen.step < broken.step]


def beginning(watched: Watched) -> Sequence[Observation]:
    """The first recorded steps."""
    return watched.observations[:FIRST]


def ending(watched: Watched) -> Sequence[Observation]:
    """The last third of the recorded steps that were finite, one at least where there is one."""
    rows = finite(watched)
    return rows[-max(1, len(rows) // 3) :]


def over_steps(observations: Sequence[Observation], name: str) -> dict[str, float]:
    """By layer, the median over these steps of a number of ``Units``, where it was measured."""
    values: dict[str, list[float]] = {}
    for observation in observations:
        for row in observation.units:
            value = getattr(row, name)
            if value is not None and math.isfinite(value):
                values.setdefault(row.layer, []).append(value)
    return {layer: median(each) for layer, each in values.items()}


def spread_of_outputs(observations: Sequence[Observation]) -> float | None:
    """The median over these steps of how much the output depends on the example; None where it was not measured."""
    seen = [each.outputs.spread for each in observations if each.outputs and math.isfinite(each.outputs.spread)]
    return median(seen) if seen else None


def since(watched: Watched, holds: Callable[[Observation], bool]) -> int | None:
    """The first recorded step from which something holds to the end."""
    first = None
    for observation in reversed(finite(watched)):
        if not holds(observation):
            break
        first = observation.step
    return first


SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float) -> str:
    """A number as people write it: 12, 0.31, 4·10⁷."""
    if not math.isfinite(value):
        return "infinitely many" if value > 0 else "not a number"
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e5:
        return f"{value:,.0f}".replace(",", " ") if abs(value) >= 100 else f"{value:.2g}"
    digits, exponent = f"{value:.0e}".split("e")
    power = f"10{str(int(exponent)).translate(SUPERSCRIPT)}"
    return power if digits == "1" else f"{digits}·{power}"


def some(clauses: Iterable[str], most: int = 3) -> str:
    """The first of several clauses in a sentence: ``a, b, c and 2 more``."""
    every = list(dict.fromkeys(clauses))
    rest = [f"{len(every) - most} more"] if len(every) > most else []
    return listed([", ".join(every[:most]), *rest] if rest else every)


def percent(share: float) -> str:
    """A share in a sentence: ``5 %``."""
    return f"{100 * share:.0f} %"


def named(layers: Iterable[str]) -> str:
    """Layers in a sentence: ``layer 1``, ``layers 1 and 4``, ``1 to 20 (10 layers)``."""
    every = list(dict.fromkeys(layers))
    if every == ["the network"] or len(every) > MOST_NAMES:
        return listed(every)
    return f"layer{'' if len(every) == 1 else 's'} {listed(every)}"


def listed(names: Iterable[str]) -> str:
    """Names of layers or parameters in a sentence: ``a, b and c``, ``a to z (20 layers)``."""
    every = list(dict.fromkeys(names))
    if len(every) > MOST_NAMES:
        return shortened(every)
    return " and ".join([", ".join(every[:-1]), every[-1]]) if len(every) > 1 else "".join(every)
