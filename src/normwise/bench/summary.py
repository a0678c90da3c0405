"""The table in a few numbers: geometric means and worst cases, by mode and epilogue."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from normwise.bench.cases import EPILOGUES, MODES
from normwise.bench.contenders import COMPILED, INPLACE, TORCH
from normwise.bench.measure import Measurement

SMALL = 65_536
"""Up to so many values a case counts as small: what a call costs apart from the values decides there."""


class Worst(NamedTuple):
    """The case in which ours was slowest against torch, and how many times as fast as torch it was there."""

    speed: float
    name: str


class Row(NamedTuple):
    """One mode and epilogue.

    Attributes:
        mode: of the cases.
        epilogue: of the cases.
        cases: how many there are.
        wrong: how many of them ours got wrong; these are in no mean.
        torch_wrong: how many torch got wrong; these are in the means.
        speed: geometric mean of how many times as fast as torch ours was, None where there is none; so the next.
        in_place: against torch in place.
        compiled: against torch.compile, where it was measured.
        over_floor: geometric mean of our time over the floor's.
        worst: the slowest case above ``SMALL`` values.
        worst_small: the slowest one up to there.
    """

    mode: str
    epilogue: str
    cases: int
    wrong: int
    torch_wrong: int
    speed: float | None
    in_place: float | None
    compiled: float | None
    over_floor: float | None
    worst: Worst | None
    worst_small: Worst | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        nested = {"worst": self.worst, "worst_small": self.worst_small}
        return self._asdict() | {key: worst._asdict() if worst else None for key, worst in nested.items()}


def summarise(measurements: Sequence[Measurement]) -> tuple[Row, ...]:
    """One row for each mode and epilogue that was measured."""
    return tuple(_row(*group) for group in grouped(measurements))


def grouped(measurements: Sequence[Measurement]) -> Iterator[tuple[str, str, list[Measurement]]]:
    """Mode, epilogue and their measurements, in the order of ``MODES`` and ``EPILOGUES``."""
    for mode in MODES:
        for epilogue in EPILOGUES:
            members = [found for found in measurements if (found.case.epilogue, found.case.mode) == (epilogue, mode)]
            if members:
                yield mode, epilogue, members


def _row(mode: str, epilogue: str, members: Sequence[Measurement]) -> Row:
    right = [found for found in members if not found.wrong]
    floors = [found.over_floor for found in right if found.over_floor is not None]
    return Row(
        mode=mode,
        epilogue=epilogue,
        cases=len(members),
        wrong=len(members) - len(right),
        torch_wrong=sum(found.errors[TORCH].wrong for found in members),
        speed=_mean_speed(right, TORCH),
        in_place=_mean_speed(right, INPLACE),
        compiled=_mean_speed(right, COMPILED),
        over_floor=geometric_mean(floors),
        worst=_worst(found for found in right if found.case.values > SMALL),
        worst_small=_worst(found for found in right if found.case.values <= SMALL),
    )


def _mean_speed(members: Iterable[Measurement], peer: str) -> float | None:
    return geometric_mean([found.speed[peer].median for found in members if peer in found.speed])


def _worst(members: Iterable[Measurement]) -> Worst | None:
    found = [Worst(member.speed[TORCH].median, member.case.name) for member in members]
    return min(found, default=None)


def geometric_mean(values: Sequence[float]) -> float | None:
    """The exponential of the mean of the logarithms; None of no value."""
    return math.exp(math.fsum(map(math.log, values)) / len(values)) if values else None
