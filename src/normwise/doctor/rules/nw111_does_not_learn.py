"""NW111: no better than guessing, and no other rule says why."""

from __future__ import annotations

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.finding import Severity
from normwise.doctor.outcome import Outcome, Status
from normwise.doctor.rules.judging import BAD, Seen, rule
from normwise.doctor.rules.layers import number
from normwise.probes.watched import Watched

LEAST_STEPS = 50


def _see(training: Training, evidence: Evidence) -> Seen | None:
    outcome = training.outcome
    if outcome.status not in BAD:
        return _only_by_heart(outcome) if outcome.status is Status.LEARNED and outcome.learned is False else None
    young = outcome.status is Status.STUCK and outcome.steps < LEAST_STEPS
    return Seen(
        f"The network does not learn: {_how(training)}",
        evidence={"start": outcome.start, "end": outcome.end, "constant": outcome.constant, "steps": outcome.steps},
        weight=0.05,
        severity=Severity.INFO if young or not _has_yardstick(training.watched) else Severity.CRITICAL,
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
    """Whether a loss that does not fall tells of a fault; that of adversaries, who have no targets, does not."""
    return watched.constant is not None or watched.loss.kind not in ("other", "bce", "bce_with_logits")


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
    "metric stays at chance. Information only in the first 50 steps, and where neither targets nor a kind of loss that "
    "adversaries do not have give a yardstick.",
    source="The constant as yardstick: the skill score of forecasting. 2 %: above what a network that puts out a "
    "constant gains by noise.",
    remedies=("batch-normalization", "adam", "lr*10", "lr/10", "relu-he", "he", "standard-inputs", "batch-size*4"),
)
