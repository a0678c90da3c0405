"""How many runs a treatment takes, and how long: plain arithmetic."""

from __future__ import annotations

from typing import NamedTuple

FINALISTS = 3
"""Remedies that are tried on every seed, batch normalization among them."""


class Extent(NamedTuple):
    """How much is tried.

    With 6 remedies and 3 seeds on two cores, the watched runs of ``nothing`` included, that is 3 + 6 + 6 + 3 runs and 3
    of ``random``, in 2 + 3 + 4 + 2 = 11 turns: within 12 times one training.

    Attributes:
        remedies: that are tried on the first seed.
        seeds: of every other treatment.
        workers: runs at once.
    """

    remedies: int
    seeds: int
    workers: int

    @property
    def rounds(self) -> list[int]:
        """The runs of each round: every remedy once, the best on the other seeds, two of them combined."""
        combined = self.seeds if self.remedies > 1 else 0
        return [self.remedies, min(FINALISTS, self.remedies) * (self.seeds - 1), combined]

    @property
    def runs(self) -> int:
        """At most so many; those of ``random`` may be there already."""
        return sum(self.rounds) + self.seeds

    @property
    def turns(self) -> int:
        """How often all workers start a run, one after another; ``random`` fills what would be idle."""
        left, count = self.seeds, 0
        for runs in self.rounds:
            filled = min(left, idle(runs, self.workers))
            left -= filled
            count += turns(runs + filled, self.workers)
        return count + turns(left, self.workers)

    def seconds(self, each: float) -> float:
        """How long that takes where a run takes ``each`` seconds, its start included."""
        return self.turns * each


def idle(runs: int, workers: int) -> int:
    """How many workers have nothing to do in the last turn of so many runs."""
    return -runs % max(1, workers)


def turns(runs: int, workers: int) -> int:
    """How often all workers start a run, one after another, for so many runs."""
    return -(-runs // max(1, workers))


def affordable(wanted: Extent, each: float, seconds: float) -> Extent | None:
    """As many remedies as there is time for; None where not even one can be tried.

    Args:
        wanted: what would be tried.
        each: seconds of a run.
        seconds: that are left.
    """
    extents = (wanted._replace(remedies=number) for number in range(wanted.remedies, 0, -1))
    return next((extent for extent in extents if extent.seconds(each) <= seconds), None)
