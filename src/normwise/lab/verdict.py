"""What a comparison says in plain sentences, with its uncertainty. Plain functions of summaries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from normwise.lab.summary import ArmSummary


class Speed(NamedTuple):
    """How many times fewer steps than the baseline an arm needed to the target.

    ``low`` and ``high`` are the smallest and the largest ratio over all pairs of a baseline run and a run of the arm. A
    run that never got there counts with all the steps it was given, so a ratio is a bound where it is ``at_least`` or
    ``at_most``.
    """

    ratio: float
    low: float
    high: float
    at_least: bool
    at_most: bool


class Gain(NamedTuple):
    """Test accuracy of an arm minus the baseline's, and half the width of Welch's 95 % confidence interval, if any."""

    difference: float
    margin: float | None

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.margin is not None and abs(self.difference) > self.margin


def speed(baseline: ArmSummary, arm: ArmSummary) -> Speed | None:
    """Steps to target of the baseline over those of the arm; None where no run of either arm got there."""
    base, other = _steps(baseline), _steps(arm)
    if not base or not other or (baseline.never == len(base) and arm.never == len(other)):
        return None
    ratios = [slow / quick for slow in base for quick in other]
    return Speed(
        ratio=median(base) / median(other),
        low=min(ratios),
        high=max(ratios),
        at_least=baseline.steps_to_target is None,
        at_most=arm.steps_to_target is None,
    )


def _steps(arm: ArmSummary) -> list[int]:
    """Each run's steps to target, at least one; a run that never got there counts with the steps it was given."""
    planned = arm.settings["steps"]
    return [max(1, planned if run.steps_to_target is None else run.steps_to_target) for run in arm.finished]


def gain(baseline: ArmSummary, arm: ArmSummary) -> Gain | None:
    """The difference of the mean test accuracies; None where an arm has no result."""
    if baseline.test_mean is None or arm.test_mean is None:
        return None
    difference = arm.test_mean - baseline.test_mean
    if baseline.test_std is None or arm.test_std is None:
        return Gain(difference, None)
    return Gain(difference, _welch(baseline.test_std, len(baseline.finished), arm.test_std, len(arm.finished)))


def _welch(std_a: float, n_a: int, std_b: float, n_b: int) -> float:
    """Half the width of Welch's 95 % confidence interval for a difference of two means."""
    from scipy.stats import t

    var_a, var_b = std_a**2 / n_a, std_b**2 / n_b
    if var_a + var_b == 0:
        return 0.0
    freedom = (var_a + var_b) ** 2 / (var_a**2 / (n_a - 1) + var_b**2 / (n_b - 1))
    return float(t.ppf(0.975, freedom)) * math.sqrt(var_a + var_b)


def sentence(baseline: ArmSummary, arm: ArmSummary) -> str:
    """One sentence: how ``arm`` did against ``baseline``."""
    if not baseline.finished or not arm.finished:
        silent = baseline if not baseline.finished else arm
        return f"No verdict on {arm.name}: every run of {silent.name} failed ({silent.runs[0].reason})."
    return f"{_speed_words(baseline, arm)}, {_gain_words(baseline, arm)}{_diverged_words([baseline, arm])}."


def _speed_words(baseline: ArmSummary, arm: ArmSummary) -> str:
    found = speed(baseline, arm)
    goal = f"{baseline.name}'s best validation accuracy"
    if found is None:
        return f"Neither {arm.name} nor any single run of {baseline.name} reached {goal}"
    if found.at_most:
        runs = f"{arm.never} of {len(arm.finished)} runs of {arm.settings['steps']:,} steps"
        return f"{arm.name} did not reach {goal} in {runs}"
    medians = f"median {arm.steps_to_target:,.0f} against {_baseline_steps(baseline)}"
    spread = (
        f"; {times(found.low)} to {times(found.high)} over pairs of seeds"
        if len(baseline.finished) > 1
        else "; one seed, so no uncertainty"
    )
    if found.low <= 1 <= found.high and len(baseline.finished) > 1:
        return f"{arm.name} reached {goal} with no difference in steps beyond seed noise ({medians}{spread})"
    bound = "at least " if found.at_least else ""
    how = f"{times(found.ratio)} times fewer" if found.ratio >= 1 else f"{times(1 / found.ratio)} times more"
    return f"{arm.name} reached {goal} in {bound}{how} steps ({medians}{spread})"


def _baseline_steps(baseline: ArmSummary) -> str:
    if baseline.steps_to_target is None:
        return f"more than {baseline.settings['steps']:,}"
    return f"{baseline.steps_to_target:,.0f}"


def times(ratio: float) -> str:
    """A ratio with two significant digits, or none after the point from ten on."""
    return f"{ratio:.0f}" if ratio >= 9.95 else f"{ratio:.2g}"


def _gain_words(baseline: ArmSummary, arm: ArmSummary) -> str:
    found = gain(baseline, arm)
    if found is None:
        return "with no test accuracy to compare"
    points = f"{100 * abs(found.difference):.1f}"
    if found.margin is None:
        which = "higher" if found.difference >= 0 else "lower"
        return f"and its test accuracy was {points} points {which} (one seed, so no uncertainty)"
    interval = f"{100 * found.difference:+.1f} ± {100 * found.margin:.1f} points"
    if not found.clear:
        return f"with no difference in test accuracy beyond seed noise ({interval})"
    return f"and its test accuracy was {'higher' if found.difference > 0 else 'lower'} ({interval}, 95 % confidence)"


def _diverged_words(arms: Sequence[ArmSummary]) -> str:
    said = []
    for arm in arms:
        count = sum(run.status == "diverged" for run in arm.runs)
        if count:
            said.append(f"{count} of {len(arm.runs)} runs of {arm.name} diverged")
    return f"; {' and '.join(said)}" if said else ""


def helped(baseline: ArmSummary, arm: ArmSummary) -> bool:
    """Whether the arm was quicker to the target beyond seed noise, or clearly more accurate and not slower."""
    pace, accuracy = speed(baseline, arm), gain(baseline, arm)
    quicker = pace is not None and not pace.at_most and pace.low > 1
    slower = pace is not None and (pace.at_most or pace.high < 1)
    return quicker or (accuracy is not None and accuracy.clear and accuracy.difference > 0 and not slower)


def headline(baseline: ArmSummary, others: Sequence[ArmSummary]) -> str:
    """The verdict on the first arm with batch normalization, else on the first other; and which was quickest."""
    if not others:
        result = "no result" if baseline.test_mean is None else f"{100 * baseline.test_mean:.1f} % test accuracy"
        return f"{baseline.name} alone: {result}, nothing to compare it with."
    about = next((arm for arm in others if arm.settings["norm"] == "batch"), others[0])
    said = sentence(baseline, about)
    tested = about.settings["norm"] == "batch" != baseline.settings["norm"] and about.finished and baseline.finished
    if tested and not helped(baseline, about):
        said = f"Batch normalization did not help: {said}"
    reached = [arm for arm in others if arm.steps_to_target is not None]
    quickest = min(reached, key=lambda arm: arm.steps_to_target or 0, default=about)
    if quickest is not about and (
        about.steps_to_target is None or (quickest.steps_to_target or 0) < about.steps_to_target
    ):
        said += f" The fewest steps were those of {quickest.name}: median {quickest.steps_to_target:,.0f}."
    return said
