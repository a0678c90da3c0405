"""When a run is measured."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from normwise.errors import InvalidArgumentError

REGULAR = 25  # at most so many measurements at equal distances
FIRST = 500  # the first measurement after the start is at steps / FIRST
GROWTH = 1.25  # each early measurement is at so many times the step of the one before it


@dataclass(frozen=True)
class Schedule:
    """The steps at which a run is measured: the start, the end, and some between.

    With ``every`` they are its multiples. Without it they are about 45: the multiples of d = ⌈steps / 25⌉ and, because
    most happens early, geometric points from steps / 500 on, each 1.25 times the one before it, as long as they lie
    closer together than d. The same arguments always give the same steps.

    Attributes:
        steps: how many steps the run makes, one or more.
        every: the distance between measurements in steps, one or more.

    Raises:
        InvalidArgumentError: either is less than one.
    """

    steps: int
    every: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("steps", self.steps), ("every", self.every)):
            if value is not None and value < 1:
                raise InvalidArgumentError(f"{name} is {value}; a schedule needs a whole number, 1 or more")

    @cached_property
    def at(self) -> tuple[int, ...]:
        """The steps, in rising order; the first is 0 and the last is ``steps``."""
        return tuple(sorted(self._steps))

    @cached_property
    def regular(self) -> frozenset[int]:
        """Those of the steps that are at equal distances, and the last one."""
        return frozenset({*range(0, self.steps, self._distance), self.steps})

    @cached_property
    def _steps(self) -> frozenset[int]:
        return self.regular if self.every else self.regular | self._early(self._distance)

    @property
    def _distance(self) -> int:
        return self.every or -(-self.steps // REGULAR)

    def _early(self, distance: int) -> set[int]:
        points, point = set(), max(1.0, self.steps / FIRST)
        while point * (GROWTH - 1) < distance and round(point) <= self.steps:
            points.add(round(point))
            point *= GROWTH
        return points

    def __contains__(self, step: object) -> bool:
        return step in self._steps
