"""Gathering the values of several runs: by arm, and over seeds. Plain data, nothing drawn."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from normwise.records import RunRecord

T = TypeVar("T")


class Band(NamedTuple):
    """A quantity over training: at each step its mean, least and greatest value over seeds; nan is a gap."""

    steps: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def ends(self) -> tuple[int, int] | None:
        """The positions of the first and the last value that is not a gap, or None where there is none."""
        there = [index for index, value in enumerate(self.mean) if math.isfinite(value)]
        return (there[0], there[-1]) if there else None


def arm(run: RunRecord) -> str:
    """The name of the run's arm."""
    return str(run.settings["arm"])


def by_arm(runs: Iterable[RunRecord]) -> dict[str, list[RunRecord]]:
    """The runs of each arm, arms in the order of first appearance."""
    arms: dict[str, list[RunRecord]] = {}
    for run in runs:
        arms.setdefault(arm(run), []).append(run)
    return arms


def number(value: Any) -> float:
    """A recorded number as a float; null, and anything that is not finite, as nan."""
    return float(value) if value is not None and math.isfinite(value) else math.nan


def band(curves: Iterable[Mapping[int, float]]) -> Band:
    """Pool one curve (step to value) per seed.

    A step counts the curves that have a finite value there, so a run that ended early stops counting where it ended.
    """
    pooled: dict[int, list[float]] = {}
    for curve in curves:
        for step, value in curve.items():
            pooled.setdefault(step, []).extend([value] if math.isfinite(value) else [])
    steps = sorted(pooled)
    columns = [pooled[step] or [math.nan] for step in steps]
    return Band(
        tuple(steps),
        tuple(math.fsum(column) / len(column) for column in columns),
        tuple(min(column) for column in columns),
        tuple(max(column) for column in columns),
    )


def diverged_at(run: RunRecord) -> int | None:
    """The step at which the run diverged, or None."""
    done = run.done or {}
    return int(done["step"]) if done.get("status") == "diverged" else None


class Cross(NamedTuple):
    """Where a run diverged: the step, and its last finite value before that (nan if there was none)."""

    step: int
    value: float


def crosses(curves: Iterable[tuple[RunRecord, Mapping[int, float]]]) -> tuple[Cross, ...]:
    """Where the runs that diverged did so, by the values of a curve of each."""
    return tuple(_cross(step, curve) for run, curve in curves if (step := diverged_at(run)) is not None)


def _cross(step: int, curve: Mapping[int, float]) -> Cross:
    finite = [value for value in curve.values() if math.isfinite(value)]
    return Cross(step, finite[-1] if finite else math.nan)


def last_step(runs: Iterable[RunRecord]) -> int:
    """The last step that was measured, or at which a run diverged."""
    ends = ((run.metrics[-1]["step"] if run.metrics else 0, diverged_at(run) or 0) for run in runs)
    return max((max(pair) for pair in ends), default=0)


def layers(runs: Iterable[RunRecord], quantity: str) -> list[str]:
    """The layers that ``quantity`` (a key of the metrics) was measured on, input side first."""
    names = (item["layer"] for run in runs for line in run.metrics for item in line[quantity])
    return list(dict.fromkeys(names))


def layer_name(name: str) -> str:
    """How a layer is called: as in its network; ``layer 4`` for one that has only a number there."""
    return f"layer {name}" if name.replace("#", "").isdigit() else name or "network"


def of_layer(run: RunRecord, quantity: str, layer: str, value: str) -> dict[int, float]:
    """One value of one layer over training, for example ``("gradients", "linear1", "norm")``."""
    return {
        line["step"]: number(item[value]) for line in run.metrics for item in line[quantity] if item["layer"] == layer
    }


def spread(names: Sequence[T], most: int) -> list[T]:
    """At most ``most`` of the names, evenly spaced, the first and the last among them."""
    if len(names) <= most:
        return list(names)
    return [names[round(place * (len(names) - 1) / (most - 1))] for place in range(most)]
