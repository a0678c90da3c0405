"""Judging numbers of several seeds: a difference with its interval, and what all seeds say."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import fmean, stdev
from typing import NamedTuple

from normwise.records import RunRecord

PAIRED = "the 95 % interval (Student's t, paired by seed: the same initial weights and batches) leaves out 0"
"""How ``less`` decides, for a claim's threshold."""


class Difference(NamedTuple):
    """A mean difference over seeds and the edges of its 95 % interval; infinite edges for a single seed.

    Of no seed at all, or of one that has no number, everything is undecided.
    """

    mean: float
    low: float
    high: float

    @property
    def positive(self) -> bool | None:
        """Whether it is above zero; None where the interval has zero in it."""
        return self.above(0.0)

    def above(self, border: float) -> bool | None:
        """Whether it is above a border; None where the interval has the border in it."""
        return True if self.low > border else False if self.high < border else None

    def within(self, margin: float) -> bool | None:
        """Whether it is between −margin and margin; None where the interval reaches across one of them."""
        if -margin <= self.low and self.high <= margin:
            return True
        return False if self.low > margin or self.high < -margin else None

    @property
    def interval(self) -> list[float] | None:
        """Both edges; None where there is a single seed."""
        return [self.low, self.high] if math.isfinite(self.low) else None

    def write(self, factor: float = 100, unit: str = " points", digits: int = 1) -> str:
        """The difference in a sentence, in points unless another factor and unit are given."""
        if math.isnan(self.mean):
            return "not known, since a run has no number"
        mean, low, high = (f"{factor * value:+.{digits}f}" for value in self)
        return f"{mean}{unit}" + (f" (95 % interval {low} to {high})" if math.isfinite(self.low) else "")

    def __str__(self) -> str:
        return self.write()


def difference(values: Sequence[float]) -> Difference:
    """The mean of one difference per seed with Student's interval."""
    from scipy.stats import t as students

    mean = fmean(values) if values else math.nan
    if len(values) < 2 or not math.isfinite(mean):
        return Difference(mean if math.isfinite(mean) else math.nan, -math.inf, math.inf)
    margin = float(students.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return Difference(mean, mean - margin, mean + margin)


def less(a: Sequence[float], b: Sequence[float]) -> Difference:
    """The difference a − b, by seed: both in the order of the same seeds."""
    return difference([x - y for x, y in zip(a, b, strict=True)])


def less_at_best(a: Sequence[RunRecord], b: Sequence[RunRecord], part: str = "test") -> Difference:
    """The same of a part's metric at each run's best step, over the seeds in which both runs have one."""
    one, other = (
        {run.settings["seed"]: run.best[part][run.metric.name] for run in runs if run.best is not None}
        for runs in (a, b)
    )
    return difference([one[seed] - other[seed] for seed in one if seed in other])


def every(answers: Iterable[bool | None]) -> bool | None:
    """Whether all of several things hold: no if one does not, and None if none fails but one is undecided."""
    given = list(answers)
    return False if False in given else None if None in given else True


def unanimous(answers: Sequence[bool]) -> bool | None:
    """What all seeds say; None where they do not agree."""
    return answers[0] if len(set(answers)) == 1 else None
