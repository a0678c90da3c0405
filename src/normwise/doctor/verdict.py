"""What the doctor says in a few plain sentences: what is wrong, which remedy helped, and what the controls did."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import NamedTuple

from normwise.doctor import written
from normwise.doctor.finding import Finding
from normwise.doctor.gains import AND, NOTHING, RANDOM, Scale, candidates, recommended
from normwise.doctor.outcome import Outcome, Status
from normwise.doctor.remedies import BY_NAME, Given
from normwise.doctor.remedies.choose import ALWAYS
from normwise.doctor.treatment import Recommendation, Treatment
from normwise.records.metric import Metric

LIKELIEST = 3
"""Remedies that are named where none is tried."""

HELPED_NOT = "no better beyond seed noise"


class Said(NamedTuple):
    """What a verdict is made of.

    Attributes:
        findings: ranked, the root cause first.
        outcomes: of the training as it was given, one per seed.
        treatments: those that were tried; empty for none.
        recommendation: the treatment that is recommended.
        metric: of the task.
        value: its mean over the runs of the training as it was given; None where no run has one.
        untried: why nothing was tried, as a clause without a subject; empty where it was, or there was no reason to.
        without_batch_normalization: why batch normalization could not be tried; empty where it was.
    """

    findings: Sequence[Finding]
    outcomes: Sequence[Outcome]
    treatments: Sequence[Treatment]
    recommendation: Treatment | None
    metric: Metric
    value: float | None
    untried: str = ""
    without_batch_normalization: str = ""


def verdict(said: Said) -> str:
    """The answer in a few sentences."""
    cause = next((finding for finding in said.findings if finding.severity.is_trouble), None)
    diagnosed = first_sentence(cause.words) if cause else _healthy(said)
    if said.treatments and said.recommendation and not cause:
        return f"{diagnosed} It could be a little better: {_lower(_treated(said))}"
    if said.treatments:
        return f"{diagnosed} {_treated(said)}"
    if not said.untried:
        return diagnosed
    names = [BY_NAME[name].words for name in (cause.remedies if cause else ()) if name in BY_NAME][:LIKELIEST]
    may = f" What may help: {', '.join(names)}." if names else ""
    return f"{diagnosed} Nothing was tried: {said.untried}.{may}"


def of_training(outcome: Outcome, findings: Sequence[Finding]) -> str:
    """The answer in one sentence where nothing but a training was watched, and nothing was tried."""
    cause = next((finding for finding in findings if finding.severity.is_trouble), None)
    if cause:
        return first_sentence(cause.words)
    after = f"after {outcome.steps:,} step{'s' * (outcome.steps != 1)}"
    if outcome.end is None:
        return f"No rule says what is wrong, and {after} the loss is not finite."
    guessing = f"; guessing has {_loss(outcome.constant)}" if outcome.constant is not None else ""
    if outcome.status is Status.LEARNED:
        return f"Nothing is wrong: the loss went from {_loss(outcome.start)} to {_loss(outcome.end)}{guessing}."
    short = "the network learns slowly" if outcome.status is Status.SLOW else "the network did not learn yet"
    change = f"{after} the loss went from {_loss(outcome.start)} to {_loss(outcome.end)}{guessing}"
    return f"No rule says what is wrong, and {short}: {change}."


def _loss(value: float) -> str:
    return written.number(float(f"{value:.3g}"))


def first_sentence(words: str) -> str:
    """The first sentence of a finding's words: up to a full stop before a capital letter."""
    return re.split(r"(?<=[.!?])\s+(?=[A-Z])", words.strip(), maxsplit=1)[0]


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _healthy(said: Said) -> str:
    statuses = [outcome.status for outcome in said.outcomes]
    value = f"validation {said.metric.label} {said.metric.write(said.value)}"
    runs, steps = len(statuses), max((outcome.steps for outcome in said.outcomes), default=0)
    over = f"the mean of {runs} runs of {steps:,} steps" if runs > 1 else f"after {steps:,} steps"
    if all(status is Status.LEARNED for status in statuses):
        return f"Nothing is wrong: the network learns, {value}, {over}."
    found = ", ".join(f"{statuses.count(status)} {_OUTCOMES[status]}" for status in Status if status in statuses)
    return f"No rule says what is wrong, and not every run learned well: of {runs}, {found}; {value}."


_OUTCOMES = {
    Status.DIVERGED: "diverged",
    Status.STUCK: "did not learn",
    Status.SLOW: "learned slowly",
    Status.LEARNED: "learned",
}


def called(name: str) -> str:
    """A treatment in words: ``batch normalization with ReLU and He initialization``."""
    if name in (NOTHING, RANDOM):
        return {NOTHING: "nothing", RANDOM: "a remedy drawn by lot"}[name]
    return " with ".join(BY_NAME[part].words if part in BY_NAME else part for part in name.split(AND))


def _treated(said: Said) -> str:
    seeds = len(said.treatments[0].runs)
    tried = [each for each in said.treatments if each.name not in (NOTHING, RANDOM)]
    many = f"{len(tried)} remedies" if len(tried) != 1 else "1 remedy"
    of = f"Of {many} tried {_over(tried, seeds)}"
    controls = _controls(said)
    found = _helped(said, of) if said.recommendation else _nothing_helped(said, of, seeds)
    return "; ".join([found, *controls]) + "."


def _over(tried: Sequence[Treatment], seeds: int) -> str:
    """On how many seeds the remedies were tried: a remedy that was dropped has one."""
    whole = sum(not each.dropped for each in tried)
    over = f"over {seeds} seed{'s' * (seeds > 1)}"
    return over if whole == len(tried) else f"({whole} of them {over})"


def _helped(said: Said, of: str) -> str:
    ours, metric = said.recommendation, said.metric
    assert ours is not None
    change = f"{said.treatments[0].write(metric)} → {ours.write(metric)}"
    first, best = candidates(said.treatments)[0], next(each for each in candidates(said.treatments) if each.helped)
    if best is not ours:
        smaller = f"the smallest change of those as good as the best, {called(best.name)} ({best.write(metric)})"
        return f"{of}, {called(ours.name)} helped: {change}, {smaller}"
    unsure = "" if first is best else f"; {called(first.name)} ({first.write(metric)}) is not clear of seed noise"
    return f"{of}, {called(ours.name)} helped most: {change}{unsure}"


def _nothing_helped(said: Said, of: str, seeds: int) -> str:
    """That nothing helped, and how good the best was."""
    metric, nothing = said.metric, said.treatments[0]
    best = next(iter(candidates(said.treatments)), None)
    if best is None:
        return f"No improvement found: {_lower(of)}, none has a result ({nothing.write(metric)} without)"
    which = f"the best is {called(best.name)}: {nothing.write(metric)} → {best.write(metric)}"
    if seeds == 1:
        why = "one seed tells nothing about seed noise"
        return f"No improvement is certain, since {why}: {_lower(of)}, {which}"
    if (best.gain or 0.0) <= 0:
        return f"No improvement found: {_lower(of)}, none was better than nothing ({nothing.write(metric)})"
    beyond = "none was better than nothing beyond seed noise" + ", of which two seeds tell little" * (seeds == 2)
    return f"No improvement found: {_lower(of)}, {beyond}; {which}"


def _controls(said: Said) -> list[str]:
    """What batch normalization alone did, where that is not said already, and a remedy drawn by lot."""
    by_name = {each.name: each for each in said.treatments}
    lines, metric = [], said.metric
    alone = by_name.get(ALWAYS)
    named = said.recommendation or next((each for each in candidates(said.treatments) if (each.gain or 0.0) > 0), None)
    if alone is None:
        why = said.without_batch_normalization
        lines += [f"batch normalization could not be tried: {why}"] if why else []
    elif alone is not named:
        better = "" if alone.helped or not said.recommendation else f" ({HELPED_NOT})"
        lines.append(f"batch normalization alone: {alone.write(metric)}{better}")
    if RANDOM in by_name:
        lines.append(f"{called(RANDOM)}: {by_name[RANDOM].write(metric)}")
    return lines


def recommendation(treatments: Sequence[Treatment], given: Given, scale: Scale) -> Recommendation | None:
    """What is recommended, with what somebody types to do it; None where nothing helped."""
    sizes = {name: remedy.size for name, remedy in BY_NAME.items()}
    found = recommended(treatments, sizes, scale)
    if found is None or found.gain is None:
        return None
    settings = {**asdict(given.keys), **found.settings}
    parts = [BY_NAME[part].change.format(**settings) for part in found.name.split(AND)]
    code = "\n".join(parts)
    between = "\n" if "\n" in code else " "
    return Recommendation(found.name, f"{called(found.name)}:{between}{code}", found.gain, found.margin)
