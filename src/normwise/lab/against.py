"""One sentence about two arms: how one did against the other, with its uncertainty. Plain functions of summaries."""

from __future__ import annotations

from collections.abc import Sequence

from normwise.lab.effects import Gain, Speed, gain, helped, speed
from normwise.lab.summary import ArmSummary


def against(baseline: ArmSummary, arm: ArmSummary, target: float | None) -> str:
    """How ``arm`` did against ``baseline``, and whether batch normalization helped where that is all.

    Args:
        baseline: at its best point.
        arm: at any of its points.
        target: the baseline's best mean validation metric, which runs are timed to; None where there is none.
    """
    for silent in (baseline, arm):
        if not silent.counted:
            return f"No verdict on {arm.name}: every run of {silent.name} failed ({silent.runs[0].reason})."
    if not (baseline.learned and arm.learned):
        return f"{_unlearned(baseline, arm)}{diverged_words([baseline, arm])}."
    said = f"{_speed_words(baseline, arm, target)} {_gain_words(baseline, arm)}"
    said = f"{said}{_seeds_words(baseline, arm)}{diverged_words([baseline, arm])}."
    if _only_batch_normalization(baseline, arm) and helped(baseline, arm) is False:
        return f"Batch normalization did not measurably help: {said}"
    return said


def _only_batch_normalization(baseline: ArmSummary, arm: ArmSummary) -> bool:
    """Whether ``arm`` is ``baseline`` with batch normalization; where that stands follows from it."""
    rest = [
        {key: value for key, value in one.settings.items() if key not in ("norm", "place", "layers")}
        for one in (baseline, arm)
    ]
    return arm.settings["norm"] == "batch" != baseline.settings["norm"] and rest[0] == rest[1]


def _unlearned(baseline: ArmSummary, arm: ArmSummary) -> str:
    """The verdict where an arm is no better than chance: steps to the target mean nothing then."""
    if not baseline.learned and not arm.learned:
        return none_learned(baseline, [arm])
    if not baseline.learned:
        said = f"{baseline.name} did not learn: {chance_words(baseline)}; {_reached(arm)}"
        found = gain(baseline, arm)
        if found is not None and found.margin is not None and not found.clear:  # its runs ended anywhere
            return f"{said}{_seeds_words(baseline, arm)}"
        return f"{said}, {_gain_words(baseline, arm)}{_seeds_words(baseline, arm)}"
    return f"{arm.name} did not learn: {chance_words(arm)}; {_reached(baseline)}"


def none_learned(baseline: ArmSummary, others: Sequence[ArmSummary]) -> str:
    """That no arm learned."""
    who = f"Neither {baseline.name} nor {others[0].name}" if len(others) == 1 else f"None of the {len(others) + 1} arms"
    return f"{who} learned: validation {baseline.metric.label} did not stay {_beyond_words(baseline)}"


def chance_words(arm: ArmSummary) -> str:
    """Why an arm is said not to have learned."""
    return f"its validation {arm.metric.label} did not stay {_beyond_words(arm)}"


def _beyond_words(arm: ArmSummary) -> str:
    return "better than before training" if arm.task.chance is None else "beyond chance"


def _reached(arm: ArmSummary) -> str:
    return f"{arm.name} reached {arm.metric.write(arm.test_mean)} on test data"


def _seeds_words(baseline: ArmSummary, arm: ArmSummary) -> str:
    seeds = min(len(baseline.counted), len(arm.counted))
    few = {1: "; one seed tells nothing about seed noise", 2: "; two seeds are too few to tell this from seed noise"}
    return few.get(seeds, "")


def _speed_words(baseline: ArmSummary, arm: ArmSummary, target: float | None) -> str:
    found, metric = speed(baseline, arm), baseline.metric
    if found is None or target is None:
        mean = f"the mean validation {metric.label} of {baseline.name}'s runs"
        return f"{arm.name} has no target to reach, since {mean} was never {_beyond_words(baseline)},"
    goal = f"{metric.write(target)}, {baseline.name}'s best mean validation {metric.label},"
    if arm.steps_to_target is None:
        return f"{arm.name} did not reach {goal} in {arm.never} of {len(arm.counted)} runs{_lengths(arm)},"
    detail = f"{_medians(found, baseline, arm)}{_range(found)}"
    if found.p is not None and not found.clear:
        return f"{arm.name} reached {goal} with no difference in steps beyond seed noise ({detail}),"
    return f"{arm.name} reached {goal} in {_times_words(found)} steps ({detail}),"


def _lengths(arm: ArmSummary) -> str:
    early = any(run.status == "finished" and run.steps < arm.settings["steps"] for run in arm.counted)
    return f" of {'at most ' if early else ''}{arm.settings['steps']:,} steps"


def _times_words(found: Speed) -> str:
    if found.ratio == 1:
        return "as many"
    if found.ratio < 1:
        return f"{'at most ' if found.at_least else ''}{times(1 / found.ratio)} times more"
    return f"{'at least ' if found.at_least else ''}{times(found.ratio)} times fewer"


def _medians(found: Speed, baseline: ArmSummary, arm: ArmSummary) -> str:
    more = "more than " if found.at_least else ""
    words = f"{arm.steps_to_target:,.0f} against {more}{found.baseline if more else baseline.steps_to_target:,.0f}"
    return words if min(len(baseline.counted), len(arm.counted)) == 1 else f"median {words}"


def _range(found: Speed) -> str:
    """The extremes over pairs of seeds, of the ratio that is above one for the medians."""
    if found.low == found.high:
        return ""
    test = "" if found.p is None else f", rank test p = {found.p:.2g}"
    return f"; ratio {_more_range(found) if found.ratio < 1 else _fewer_range(found)} over pairs of seeds{test}"


def _fewer_range(found: Speed) -> str:
    low = f"{times(found.low)} to" if found.low else "up to"
    return f"{low} {'at least ' if found.high_at_least else ''}{times(found.high)}"


def _more_range(found: Speed) -> str:
    low = f"{'at most ' if found.high_at_least else ''}{times(1 / found.high)}"
    return f"{low} to {times(1 / found.low)}" if found.low else f"from {low} upward"


def times(ratio: float) -> str:
    """A ratio with two significant digits, or none after the point from ten on."""
    return f"{ratio:.0f}" if ratio >= 9.95 else f"{ratio:.2g}"


def _gain_words(baseline: ArmSummary, arm: ArmSummary) -> str:
    found, metric = gain(baseline, arm), arm.metric
    if found is None:
        return f"with no test {metric.label} to compare"
    if found.difference == 0:
        return f"with the same test {metric.label}"
    which = _which(found, arm)
    if found.margin is None:
        size = metric.write_difference(abs(found.difference)).removeprefix("+")
        return f"and its test {metric.label} was {size} {which}"
    interval = metric.write_interval(found.difference, found.margin)
    if not found.clear:
        return f"with no difference in test {metric.label} beyond seed noise ({interval})"
    return f"and its test {metric.label} was {which} ({interval}, 95 % confidence)"


def _which(found: Gain, arm: ArmSummary) -> str:
    """Higher or lower; and what that means where lower is better."""
    which = "higher" if found.difference > 0 else "lower"
    if arm.metric.higher_is_better:
        return which
    return f"{which}, which is {'worse' if found.difference > 0 else 'better'}"


def diverged_words(arms: Sequence[ArmSummary]) -> str:
    """How many runs of each arm diverged, as the end of a sentence; empty where none did."""
    said = []
    for arm in arms:
        count = sum(run.status == "diverged" for run in arm.runs)
        if count:
            said.append(f"{count} of {len(arm.runs)} runs of {arm.name} diverged")
    return f"; {' and '.join(said)}" if said else ""
