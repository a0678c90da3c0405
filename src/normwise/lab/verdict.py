"""What a comparison says in plain sentences, with its uncertainty. Plain functions of summaries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
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
        at_least: whether ``ratio`` is a bound, because half of the baseline's runs never got there.
        high_at_least: whether ``high`` is a bound, because any of them did not.
        p: two-sided p-value of the exact permutation test on ranks; None where the runs are too few for any p-value up
            to ``LEVEL``, below three of each.

    A baseline run that never got there counts with all the steps it was given, which makes a ratio with it a lower
    bound. A run of the arm that never got there has a ratio of zero.
    """

    ratio: float
    low: float
    high: float
    at_least: bool
    high_at_least: bool
    p: float | None

    @property
    def clear(self) -> bool:
        """Whether the difference is beyond seed noise, as far as a p-value can say."""
        return self.p is not None and self.p <= LEVEL + 1e-9


class Gain(NamedTuple):
    """Test accuracy of an arm minus the baseline's, and half the width of Welch's 95 % confidence interval, if any."""

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
    given = [min(steps, baseline.settings["steps"]) for steps in slow]
    ratios = [a / b for a in given for b in quick]
    return Speed(
        ratio=median(given) / median(quick),
        low=min(ratios),
        high=max(ratios),
        at_least=baseline.steps_to_target is None,
        high_at_least=baseline.never > 0,
        p=_p_value(slow, quick),
    )


def _steps(arm: ArmSummary) -> list[float]:
    """Each run's steps to target, one at least; infinitely many for a run that never got there."""
    return [math.inf if run.steps_to_target is None else max(1, run.steps_to_target) for run in arm.counted]


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
    """The difference of the mean test accuracies; None where an arm has no result."""
    if baseline.test_mean is None or arm.test_mean is None:
        return None
    difference = arm.test_mean - baseline.test_mean
    if not baseline.test_std and not arm.test_std:
        return Gain(difference, None)
    return Gain(difference, _welch(baseline, arm))


def _welch(a: ArmSummary, b: ArmSummary) -> float | None:
    """Half the width of Welch's 95 % confidence interval for a difference of two means."""
    from scipy.stats import t

    if a.test_std is None or b.test_std is None:
        return None
    n_a, n_b = len(a.counted), len(b.counted)
    var_a, var_b = a.test_std**2 / n_a, b.test_std**2 / n_b
    freedom = (var_a + var_b) ** 2 / (var_a**2 / (n_a - 1) + var_b**2 / (n_b - 1))
    return float(t.ppf(0.975, freedom)) * math.sqrt(var_a + var_b)


def sentence(baseline: ArmSummary, arm: ArmSummary) -> str:
    """One sentence: how ``arm`` did against ``baseline``."""
    for silent in (baseline, arm):
        if not silent.counted:
            return f"No verdict on {arm.name}: every run of {silent.name} failed ({silent.runs[0].reason})."
    said = f"{_speed_words(baseline, arm)}, {_gain_words(baseline, arm)}"
    return f"{said}{_few_words(baseline, arm)}{_diverged_words([baseline, arm])}."


def _few_words(baseline: ArmSummary, arm: ArmSummary) -> str:
    seeds = min(len(baseline.counted), len(arm.counted))
    few = {1: "; one seed tells nothing about seed noise", 2: "; two seeds are too few to tell this from seed noise"}
    return few.get(seeds, "")


def _speed_words(baseline: ArmSummary, arm: ArmSummary) -> str:
    found = speed(baseline, arm)
    goal = f"{baseline.name}'s best validation accuracy"
    if found is None or (arm.never == len(arm.counted) and baseline.never == len(baseline.counted)):
        return f"no run of {arm.name} or {baseline.name} reached {goal}"
    if arm.steps_to_target is None:
        runs = f"{arm.never} of {len(arm.counted)} runs of {arm.settings['steps']:,} steps"
        return f"{arm.name} did not reach {goal} in {runs}"
    detail = f"{_medians(baseline, arm)}{_range(found)}"
    if found.p is not None and not found.clear:
        return f"{arm.name} reached {goal} with no difference in steps beyond seed noise ({detail})"
    return f"{arm.name} reached {goal} in {_times_words(found)} steps ({detail})"


def _times_words(found: Speed) -> str:
    if found.ratio == 1:
        return "as many"
    bound = "at least " if found.at_least else ""
    return f"{bound}{times(found.ratio)} times fewer" if found.ratio > 1 else f"{times(1 / found.ratio)} times more"


def _medians(baseline: ArmSummary, arm: ArmSummary) -> str:
    ours = f"{arm.steps_to_target:,.0f} against "
    theirs = baseline.steps_to_target
    words = ours + (f"more than {baseline.settings['steps']:,}" if theirs is None else f"{theirs:,.0f}")
    return words if min(len(baseline.counted), len(arm.counted)) == 1 else f"median {words}"


def _range(found: Speed) -> str:
    if found.low == found.high:
        return ""
    low = f"{times(found.low)} to " if found.low else "up to "
    high = f"{'at least ' if found.high_at_least else ''}{times(found.high)}"
    test = "" if found.p is None else f", rank test p = {found.p:.2g}"
    return f"; ratio {low}{high} over pairs of seeds{test}"


def times(ratio: float) -> str:
    """A ratio with two significant digits, or none after the point from ten on."""
    return f"{ratio:.0f}" if ratio >= 9.95 else f"{ratio:.2g}"


def _gain_words(baseline: ArmSummary, arm: ArmSummary) -> str:
    found = gain(baseline, arm)
    if found is None:
        return "with no test accuracy to compare"
    if found.difference == 0:
        return "with the same test accuracy"
    which = "higher" if found.difference > 0 else "lower"
    if found.margin is None:
        return f"and its test accuracy was {100 * abs(found.difference):.1f} points {which}"
    interval = f"{100 * found.difference:+.1f} ± {100 * found.margin:.1f} points"
    if not found.clear:
        return f"with no difference in test accuracy beyond seed noise ({interval})"
    return f"and its test accuracy was {which} ({interval}, 95 % confidence)"


def _diverged_words(arms: Sequence[ArmSummary]) -> str:
    said = []
    for arm in arms:
        count = sum(run.status == "diverged" for run in arm.runs)
        if count:
            said.append(f"{count} of {len(arm.runs)} runs of {arm.name} diverged")
    return f"; {' and '.join(said)}" if said else ""


def helped(baseline: ArmSummary, arm: ArmSummary) -> bool | None:
    """Whether the arm was quicker beyond seed noise, or more accurate and not slower; None where seeds are too few."""
    pace, accuracy = speed(baseline, arm), gain(baseline, arm)
    if pace is None or accuracy is None or pace.p is None:
        return None
    quicker, slower = pace.clear and pace.ratio > 1, pace.clear and pace.ratio < 1
    better, worse = accuracy.clear and accuracy.difference > 0, accuracy.clear and accuracy.difference < 0
    return (quicker and not worse) or (better and not slower)


def unlearned(baseline: ArmSummary, others: Sequence[ArmSummary]) -> str:
    """The verdict where the baseline is no better than chance, so that steps to its best accuracy mean nothing."""
    said = f"{baseline.name} did not learn: its validation accuracy was never beyond chance"
    for arm in others:
        if arm.test_mean is None:
            said += f"; every run of {arm.name} failed"
        else:
            said += f"; {arm.name} reached {100 * arm.test_mean:.1f} % on test data, {_gain_words(baseline, arm)}"
    return f"{said}{_diverged_words([baseline, *others])}."


def headline(baseline: ArmSummary, others: Sequence[ArmSummary]) -> str:
    """The verdict on the first arm with batch normalization, else on the first other; and which was quickest."""
    if not others:
        result = "no result" if baseline.test_mean is None else f"{100 * baseline.test_mean:.1f} % test accuracy"
        return f"{baseline.name} alone: {result}, nothing to compare it with."
    about = next((arm for arm in others if arm.settings["norm"] == "batch"), others[0])
    said = sentence(baseline, about)
    if about.settings["norm"] == "batch" != baseline.settings["norm"] and helped(baseline, about) is False:
        said = f"Batch normalization did not measurably help: {said}"
    reached = [arm for arm in others if arm.steps_to_target is not None]
    quickest = min(reached, key=lambda arm: arm.steps_to_target or 0, default=about)
    if (quickest.steps_to_target or 0) < (about.steps_to_target or math.inf) and quickest is not about:
        said += f" The fewest steps were those of {quickest.name}: median {quickest.steps_to_target:,.0f}."
    return said
