"""NW404: evaluation mode is worse than training mode on the same data."""

from __future__ import annotations

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.examination import Examination
from normwise.doctor.finding import Severity
from normwise.doctor.rules.evaluation import (
    GAP_RATIO,
    GAP_SHARE,
    POINTS,
    RATIO,
    SHARE,
    SURE,
    against_batch,
    against_estimated,
    batch_norms,
    eval_gap,
    norm_rule,
    worst,
)
from normwise.doctor.rules.judging import TUNED, Seen
from normwise.doctor.rules.layers import percent

SORTED = 2.0
"""Deviation between batches, over that of random ones, beyond which the moments of a batch tell what is in it."""


def _examine(found: Examination) -> Seen | None:
    cost = against_batch(found)
    if cost is None:
        return None
    between = worst(found.norms, "between")
    told = between is not None and between > SORTED and against_estimated(found) is None
    return Seen(
        f"In evaluation mode the network is worse than in training mode: {cost.words}. "
        + (
            f"The batches differ {between:.1f} times as much as random ones, as where examples are sorted, so that the "
            "moments of a batch tell what is in it; evaluation mode does not know. Shuffle the training data."
            if told
            else "It was trained with the moments of each batch, and its running statistics are not those."
        ),
        evidence={"between": between, **cost.evidence},
        weight=0.75 if told else 0.3,
        severity=cost.severity,
    )


def _see(training: Training, evidence: Evidence) -> Seen | None:
    gap = eval_gap(training)
    if gap is None or not any(call.facts.get("tracks") for call in batch_norms(training)):
        return None
    return Seen(
        f"In evaluation mode the network is worse than in training mode: {gap.words}. Batch normalization uses running "
        "statistics there, and these are not the moments that it was trained with.",
        evidence=gap.evidence,
        weight=0.3,
        severity=Severity.WARNING,
    )


RULE = norm_rule(
    _examine,
    _see,
    id="NW404",
    name="train-eval-gap",
    meaning="The same network with the same weights is worse on the same data in evaluation mode than in training "
    "mode. Batch normalization is what differs (dropout is off in both, or makes training mode the worse one): it uses "
    "the moments of the batch in one and running statistics in the other. It is a symptom; other findings say whence "
    "it comes.",
    evidence="Loss and metric with the moments of each batch and with the running statistics, on the same examples; of "
    "a training its last losses and the loss on training data in evaluation mode, the median of the last five.",
    threshold=f"A trained network: worse by {2 * SURE} standard errors over batches, and by {100 * POINTS:.0f} points "
    f"of a metric in percent ({percent(SHARE)} of another one), or by half of that and a loss {RATIO:.0f} times as "
    f"large. A training: {GAP_RATIO} times the loss of the last steps, and {percent(GAP_SHARE)} of the best constant's "
    "loss above that.",
    source=f"pytorch/pytorch#4741 and #5406; TheDeepChecker (Ben Braiek and Khomh) judges losses 0.5 apart. "
    f"The numbers: {TUNED}.",
    remedies=("estimate-population", "batch-size*4"),
)
