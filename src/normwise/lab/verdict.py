"""What a comparison says in plain sentences, with its uncertainty. Plain functions of summaries."""

from __future__ import annotations

from collections.abc import Sequence

from normwise.lab.against import against, chance_words, diverged_words, none_learned
from normwise.lab.ranking import Ranking
from normwise.lab.summary import ArmSummary
from normwise.lab.sweep import Sweep

LONG = 60
"""Characters up to which a title names every arm."""


def title(arms: Sequence[str], data: str) -> str:
    """The question: ``plain against bn on digits``, ``plain, bn and he on digits``, ``6 arms on digits``."""
    if len(arms) == 2:
        return f"{arms[0]} against {arms[1]} on {data}"
    named = f"{_list(arms)} on {data}"
    return named if len(named) <= LONG or len(arms) == 1 else f"{len(arms)} arms on {data}"


def verdict(
    arms: Sequence[ArmSummary],
    baseline: ArmSummary,
    ranking: Ranking,
    sweep: Sweep,
    at_baselines: ArmSummary | None = None,
) -> str:
    """The verdict on a comparison that has ended, in a few sentences.

    Args:
        arms: every arm at its best point.
        baseline: the one of them that the others are compared with.
        ranking: of these arms.
        sweep: what they were tried with.
        at_baselines: of two arms the other one at the baseline's best point, where it was tried with that and was
            better at another.
    """
    said = headline(baseline, [arm for arm in arms if arm is not baseline], ranking)
    if not sweep.several:
        return said
    points = ", ".join(f"{arm.name} {sweep.write(arm.point)}" for arm in arms)
    if len(arms) > 2:
        return f"Each arm is at its best {sweep.keys('learning rate')}. {said}"
    said = f"Each arm at its best {sweep.keys('learning rate')} ({points}): {said}"
    if at_baselines is None:
        return said
    best = f"{baseline.name}'s best {sweep.keys('rate')}, {sweep.write(baseline.point)}"
    return f"{said} Each at {best}: {against(baseline, at_baselines, ranking.target)}"


def headline(baseline: ArmSummary, others: Sequence[ArmSummary], ranking: Ranking) -> str:
    """The verdict in one or two sentences.

    With one other arm it is about that one. With several, the first sentence names the best of all by validation, and
    the second is about the best of the others.
    """
    if not others:
        return _alone(baseline)
    if len(others) == 1:
        return against(baseline, others[0], ranking.target)
    if not any(arm.learned for arm in (baseline, *others)):
        return f"{none_learned(baseline, others)}{diverged_words([baseline, *others])}."
    order = [arm.name for arm in ranking.order]
    about = min((arm for arm in others if arm.name in order), key=lambda arm: order.index(arm.name), default=others[0])
    return f"{_best_words(1 + len(others), ranking)} {against(baseline, about, ranking.target)}"


def _list(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def _alone(arm: ArmSummary) -> str:
    if arm.learned is False:
        return f"{arm.name} alone did not learn: {chance_words(arm)}{diverged_words([arm])}."
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
