"""How much an arm differs from another one, and whether that is beyond seed noise. Plain functions of summaries."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from statistics import fmean, median
from typing import NamedTuple

from normwise.lab.summary import ArmSummary

LEVEL = 0.1
"""The p-value up to which a difference in steps is called one: the least that three runs against three can give."""


class Speed(NamedTuple):
    """How many times fewer steps than the baseline an arm needed to the target.

    Attributes:
        ratio: the baseline's median over the arm's.
        low: the smallest ratio over all pairs of a baseline run and a run of the arm.
        high: the largest.
        baseline: the baseline's median, with which ``ratio`` was formed.
        at_least: whether ``ratio`` is a bound, because half of the baseline's runs never got there.
        high_at_least: whether ``high`` is a bound, because any of them did not.
        p: two-sided p-value of the exact permutation test on ranks; None where the runs are too few for any p-value up
            to ``LEVEL``, below three of each.

    A baseline run that never got there counts with all the steps it was given, or that it made where it was stopped
    early, which makes a ratio with it a lower bound. A run of the arm that never got there has a ratio of zero.
    """

    ratio: float
    low: float
    high: float
    baseline: float
    at_least: bool
    high_at_least: bool
    p: float | None

    @property
    def clear(self) -> bool:
        """Whether the difference is beyond seed noise, as far as a p-value can say."""
        return self.p is not None and self.p <= LEVEL + 1e-9


class Gain(NamedTuple):
    """A difference of two arms' mean metrics, and half the width of Welch's 95 % confidence interval, if any."""

    difference: float
    margin: float | None

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.margin is not None and abs(self.difference) > self.margin


def speed(baseline: ArmSummary, arm: ArmSummary) -> Speed | None:
    """Steps to target of the baseline over those of the arm; None where no run of one of them has a result."""
    slow, quick = _steps(baseline), _steps(arm)
    if not slow or not quick:
        return None
    given = _given(baseline)
    ratios = [a / b for a in given for b in quick]
    return Speed(
        ratio=median(given) / median(quick),
        low=min(ratios),
        high=max(ratios),
        baseline=median(given),
        at_least=baseline.steps_to_target is None,
        high_at_least=baseline.never > 0,
        p=_p_value(slow, quick),
    )


def _steps(arm: ArmSummary) -> list[float]:
    """Each run's steps to target, one at least; infinitely many for a run that never got there."""
    return [math.inf if run.steps_to_target is None else max(1, run.steps_to_target) for run in arm.counted]


def _given(arm: ArmSummary) -> list[float]:
    """Each run's steps to target; for a run that never got there, the steps in which it could have."""
    made = [run.steps if run.status == "finished" else arm.settings["steps"] for run in arm.counted]
    return [min(steps, given) for steps, given in zip(_steps(arm), made, strict=True)]


def _p_value(a: Sequence[float], b: Sequence[float]) -> float | None:
    if 2 / math.comb(len(a) + len(b), len(a)) > LEVEL:
        return None
    from scipy.stats import permutation_test, rankdata

    ranks = rankdata([*a, *b])
    found = permutation_test(
        (ranks[: len(a)], ranks[len(a) :]),
        lambda x, y, axis: x.mean(axis=axis) - y.mean(axis=axis),
        vectorized=True,
        n_resamples=20_000,
        rng=0,
    )
    return float(found.pvalue)


def gain(baseline: ArmSummary, arm: ArmSummary) -> Gain | None:
    """The test metric of an arm minus the baseline's; None where one of them has no result."""
    return difference(arm.tests, baseline.tests)


def difference(a: Sequence[float], b: Sequence[float]) -> Gain | None:
    """The mean of ``a`` minus that of ``b``, with Welch's interval.

    There is no interval below two values of each, nor where neither has any spread; None where one of them is empty.
    """
    if not a or not b:
        return None
    return Gain(fmean(a) - fmean(b), _margin(a, b))


def _margin(a: Sequence[float], b: Sequence[float]) -> float | None:
    if min(len(a), len(b)) < 2 or len(set(a)) == len(set(b)) == 1:
        return None
    from scipy.stats import ttest_ind

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # one of them has no spread, which is no loss of precision
        interval = ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    return float(interval.high - interval.low) / 2


def helped(baseline: ArmSummary, arm: ArmSummary) -> bool | None:
    """Whether the arm was quicker beyond seed noise, or better and not slower; None where seeds are too few."""
    pace, quality = speed(baseline, arm), gain(baseline, arm)
    if pace is None or quality is None or pace.p is None:
        return None
    quicker, slower = pace.clear and pace.ratio > 1, pace.clear and pace.ratio < 1
    improvement = arm.metric.score(quality.difference)
    better, worse = quality.clear and improvement > 0, quality.clear and improvement < 0
    return (quicker and not worse) or (better and not slower)
