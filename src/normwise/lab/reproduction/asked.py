"""What is asked of a study."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Scale(StrEnum):
    """How much of an experiment is run.

    ``quick`` takes at most two minutes on two cores, ``full`` is the experiment as it was published, or as near to it
    as two cores come. ``smoke`` takes seconds, shows that a study runs, and decides nothing; tests use it.
    """

    SMOKE = "smoke"
    QUICK = "quick"
    FULL = "full"

    @property
    def words(self) -> str:
        """The scale as a page says it."""
        return "smoke (its numbers decide nothing)" if self is Scale.SMOKE else str(self)

    def pick(self, *, smoke: T, quick: T, full: T) -> T:
        """What belongs to this scale."""
        return {Scale.SMOKE: smoke, Scale.QUICK: quick, Scale.FULL: full}[self]


class Asked(NamedTuple):
    """What is asked of a study.

    Attributes:
        scale: how much of it is run.
        data: the data set's name; empty for a study that needs none.
        seeds: how many seeds; None leaves it to the study.
    """

    scale: Scale
    data: str = ""
    seeds: int | None = None
