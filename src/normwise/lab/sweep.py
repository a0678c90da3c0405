"""What the arms of a comparison were tried with, and how that is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from normwise.lab.arms import Point


class Sweep(NamedTuple):
    """What the arms were tried with.

    Attributes:
        points: those of each arm, by name.
        swept: the key beside the learning rate that has several values, None where there is none.
    """

    points: Mapping[str, tuple[Point, ...]]
    swept: str | None

    @property
    def several(self) -> bool:
        """Whether some arm was tried with more than one point."""
        return any(len(points) > 1 for points in self.points.values())

    @property
    def _rates(self) -> bool:
        """Whether points are named by their learning rate."""
        several = any(len({point.lr for point in points}) > 1 for points in self.points.values())
        return several or not self.swept

    def keys(self, rate: str) -> str:
        """What points differ in, as ``learning rate and init``; ``rate`` is what the learning rate is called."""
        return " and ".join([rate] * self._rates + ([self.swept] if self.swept else []))

    def write(self, point: Point) -> str:
        """A point in a sentence: ``0.2``, ``0.2 and he``."""
        return " and ".join([f"{point.lr:g}"] * self._rates + ([_text(point.value)] if self.swept else []))


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
