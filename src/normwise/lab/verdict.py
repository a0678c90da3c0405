"""What a comparison says in plain sentences, with its uncertainty. Plain functions of summaries."""

from __future__ import annotations

from collections.abc import Sequence

from normwise.lab.effects import Gain, Speed, gain, helped, speed
from normwise.lab.ranking import Ranking
from normwise.lab.summary import ArmSummary

LONG = 60
"""Characters up to which a title names every arm."""


def title(arms: Sequence[str], data: str) -> str:
    """The question: ``plain against bn on digits``, ``plain, bn and he on digits``, ``6 arms on digits``."""
    if len(arms) == 2:
        return f"{arms[0]} against {arms[1]} on {data}"
    named = f"{_list(arms)} on {data}"
    return named if len(named) <= LONG or len(arms) == 1 else f"{len(arms)} arms on {data}"


def headline(baseline: ArmSummary, others: Sequence[ArmSummary], ranking: Ranking) -> str:
    """The verdict in one or two sentences.

    With one other arm it is about that one. With several, the first sentence names the best of all by validation, and
    the second is about the best of the others.
    """
    if not others:
        return _alone(baseline)
    if len(others) == 1:
        return against(baseline, others[0])
    if not any(arm.learned for arm in (baseline, *others)):
        return f"{_none_learned(baseline, others)}{_diverged_words([baseline, *others])}."
    order = [arm.name for arm in ranking.order]
    about = min((arm for arm in others if arm.name in order), key=lambda arm: order.index(arm.name), default=others[0])
    return f"{_best_words(1 + len(others), ranking)} {against(baseline, about)}"


def _list(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def _alone(arm: ArmSummary) -> str:
    if arm.learned is False:
        return f"{arm.name} alone did not learn: {_chance_words(arm)}{_diverged_words([arm])}."
    mean = arm.test_mean
    result = "no result" if mean is None else f"{arm.metric.write(mean)} test {arm.metric.label}"
    return f"{arm.name} alone: {result}, nothing to compare it with."


def _best_words(arms: int, ranking: Ranking) -> str:
    said = f"Of {arms} arms, {ranking.best} has the best validation {ranking.metric.label}"
    said += f" ({ranking.metric.write(ranking.order[0].validation)})"
    if ranking.within_noise:
        return f"{said}, with {_few(ranking.within_noise)} within noise of it."
    return f"{said}, beyond noise." if len(ranking.order) > 1 and ranking.clear else f"{said}."


def _few(names: Sequence[str]) -> str:
    return _list(names) if len(names) <= 3 else f"{len(names)} others"


def against(baseline: ArmSummary, arm: ArmSummary) -> str:
    """One sentence: how ``arm`` did against ``baseline``, and whether batch normalization helped where that is all."""
    for silent in (baseline, arm):
        if not silent.counted:
            return f"No verdict on {arm.name}: every run of {silent.name} failed ({silent.runs[0].reason})."
    if not (baseline.learned and arm.learned):
        return f"{_unlearned(baseline, arm)}{_diverged_words([baseline, arm])}."
    said = f"{_speed_words(baseline, arm)}, {_gain_words(baseline, arm)}"
    said = f"{said}{_seeds_words(baseline, arm)}{_diverged_words([baseline, arm])}."
    if _only_batch_normalization(baseline, arm) and helped(baseline, arm) is False:
        return f"Batch normalization did not measurably help: {said}"
    return said


def _only_batch_normalization(baseline: ArmSummary, arm: ArmSummary) -> bool:
    """Whether ``arm`` is ``baseline`` with batch normalization; where that stands follows from it."""
    rest = [
        {key: value for key, value in one.settings.items() if key not in ("norm", "place")} for one in (baseline, arm)
    ]
    return arm.settings["norm"] == "batch" != baseline.settings["norm"] and rest[0] == rest[1]


def _unlearned(baseline: ArmSummary, arm: ArmSummary) -> str:
    """The verdict where an arm is no better than chance: steps to the target mean nothing then."""
    if not baseline.learned and not arm.learned:
        return _none_learned(baseline, [arm])
    if not baseline.learned:
        said = f"{baseline.name} did not learn: {_chance_words(baseline)}; {_reached(arm)}"
        found = gain(baseline, arm)
        if found is not None and found.margin is not None and not found.clear:  # its runs ended anywhere
            return f"{said}{_seeds_words(baseline, arm)}"
        return f"{said}, {_gain_words(baseline, arm)}{_seeds_words(baseline, arm)}"
    return f"{arm.name} did not learn: {_chance_words(arm)}; {_reached(baseline)}"


def _none_learned(baseline: ArmSummary, others: Sequence[ArmSummary]) -> str:
    who = f"Neither {baseline.name} nor {others[0].name}" if len(others) == 1 else f"None of the {len(others) + 1} arms"
    return f"{who} learned: validation {baseline.metric.label} did not stay {_beyond_words(baseline)}"


def _chance_words(arm: ArmSummary) -> str:
    return f"its validation {arm.metric.label} did not stay {_beyond_words(arm)}"


def _beyond_words(arm: ArmSummary) -> str:
    return "better than before training" if arm.task.chance is None else "beyond chance"


def _reached(arm: ArmSummary) -> str:
    return f"{arm.name} reached {arm.metric.write(arm.test_mean)} on test data"


def _seeds_words(baseline: ArmSummary, arm: ArmSummary) -> str:
    seeds = min(len(baseline.counted), len(arm.counted))
    few = {1: "; one seed tells nothing about seed noise", 2: "; two seeds are too few to tell this from seed noise"}
    return few.get(seeds, "")


def _speed_words(baseline: ArmSummary, arm: ArmSummary) -> str:
    found, label = speed(baseline, arm), baseline.metric.label
    if found is None or baseline.never == len(baseline.counted):
        mean = f"the mean validation {label} of {baseline.name}'s runs"
        return f"{arm.name} has no target to reach, since {mean} was never {_beyond_words(baseline)}"
    goal = f"{baseline.name}'s best validation {label}"
    if arm.steps_to_target is None:
        return f"{arm.name} did not reach {goal} in {arm.never} of {len(arm.counted)} runs{_lengths(arm)}"
    detail = f"{_medians(found, baseline, arm)}{_range(found)}"
    if found.p is not None and not found.clear:
        return f"{arm.name} reached {goal} with no difference in steps beyond seed noise ({detail})"
    return f"{arm.name} reached {goal} in {_times_words(found)} steps ({detail})"


def _lengths(arm: ArmSummary) -> str:
    early = any(run.status == "finished" and run.steps < arm.settings["steps"] for run in arm.counted)
    return f" of {'at most ' if early else ''}{arm.settings['steps']:,} steps"


def _times_words(found: Speed) -> str:
    if found.ratio == 1:
        return "as many"
    bound = "at least " if found.at_least else ""
    return f"{bound}{times(found.ratio)} times fewer" if found.ratio > 1 else f"{times(1 / found.ratio)} times more"


def _medians(found: Speed, baseline: ArmSummary, arm: ArmSummary) -> str:
    more = "more than " if found.at_least else ""
    words = f"{arm.steps_to_target:,.0f} against {more}{found.baseline if more else baseline.steps_to_target:,.0f}"
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


def _diverged_words(arms: Sequence[ArmSummary]) -> str:
    said = []
    for arm in arms:
        count = sum(run.status == "diverged" for run in arm.runs)
        if count:
            said.append(f"{count} of {len(arm.runs)} runs of {arm.name} diverged")
    return f"; {' and '.join(said)}" if said else ""
