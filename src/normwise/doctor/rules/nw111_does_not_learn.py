"""NW111: no better than guessing, and no other rule says why."""

from __future__ import annotations

from statistics import fmean

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.finding import Severity
from normwise.doctor.outcome import STUCK, Outcome, Status
from normwise.doctor.rules.judging import BAD, Seen, rule
from normwise.doctor.rules.layers import number
from normwise.probes.watched import Watched

LEAST_STEPS, MANY_STEPS = 50, 200
HARDLY = 0.1
LAST = 5
"""Evaluations of which the mean is judged."""


def _see(training: Training, evidence: Evidence) -> Seen | None:
    outcome = training.outcome
    if outcome.status not in BAD:
        return _only_by_heart(outcome) if outcome.learned is False and _fits(outcome) else _slowly(training)
    young = outcome.status is Status.STUCK and outcome.steps < LEAST_STEPS
    return Seen(
        f"The network does not learn: {_how(training)}",
        evidence={"start": outcome.start, "end": outcome.end, "constant": outcome.constant, "steps": outcome.steps},
        weight=0.05,
        severity=Severity.INFO if young or not _has_yardstick(training.watched) else Severity.CRITICAL,
    )


def _fits(outcome: Outcome) -> bool:
    """Whether the training data were learned; slowly, and then on others the loss is above that of guessing."""
    if outcome.status is Status.LEARNED:
        return True
    rows = outcome.evaluations[-LAST:]
    train = [row.train_loss for row in rows if row.train_loss is not None]
    others = [row.validation_loss for row in rows if row.validation_loss is not None]
    if outcome.constant is None or outcome.steps < MANY_STEPS or not train or not others:
        return False
    return fmean(train) < (1 - STUCK) * outcome.constant < outcome.constant < fmean(others)


def _slowly(training: Training) -> Seen | None:
    """Information where hardly anything was learned, and nothing else says why."""
    outcome = training.outcome
    if outcome.status is not Status.SLOW or outcome.steps < MANY_STEPS or not _has_yardstick(training.watched):
        return None
    if outcome.skill is None or outcome.skill >= HARDLY:
        return None
    return Seen(
        f"The network learns slowly, or there is little to learn: {_how(training)} A longer training or a larger "
        "learning rate will tell.",
        evidence={"start": outcome.start, "end": outcome.end, "constant": outcome.constant, "steps": outcome.steps},
        weight=0.05,
        severity=Severity.INFO,
    )


def _only_by_heart(outcome: Outcome) -> Seen:
    return Seen(
        "The network learns its training data, and on data that it has not seen it is no better than guessing: it "
        "learned them by heart, or it computes something else in evaluation mode.",
        evidence={"end": outcome.end, "constant": outcome.constant, "learned": False},
        weight=0.05,
        severity=Severity.WARNING,
    )


def _has_yardstick(watched: Watched) -> bool:
    """Whether a loss that does not fall tells of a fault: not that of adversaries, who have no targets, nor a sum."""
    loss = watched.loss
    return watched.constant is not None or (
        loss.scale is not None and loss.kind not in ("other", "bce", "bce_with_logits")
    )


def _how(training: Training) -> str:
    outcome = training.outcome
    if outcome.end is None:
        return "the loss became infinite or not a number."
    after = f"after {outcome.steps} steps the loss is {number(outcome.end)}"
    if outcome.constant is None:
        return f"{after}; it began at {number(outcome.start)}."
    return f"{after}, and the same answer for every input would have {number(outcome.constant)}."


RULE = rule(
    _see,
    id="NW111",
    name="does-not-learn",
    meaning="The loss is no better than that of the best constant prediction, so nothing was learned from the inputs, "
    "and no other rule explains why.",
    evidence="The loss of the last fifth of the steps against that of the best constant prediction, or what guessing "
    "scores; without either, against its own start.",
    threshold="Less than 2 % better, or within the loss's noise, and not falling; or it learns and the validation "
    "metric stays at chance (where it learns slowly, with a validation loss above that of guessing). Information where "
    "it is less than 10 % better after 200 steps, in the first 50 steps, and where neither targets nor a kind of loss "
    "that adversaries do not have give a yardstick.",
    source="The constant as yardstick: the skill score of forecasting. 2 %: above what a network that puts out a "
    "constant gains by noise.",
    remedies=("batch-normalization", "adam", "lr*10", "lr/10", "relu-he", "he", "standard-inputs", "batch-size*4"),
)
