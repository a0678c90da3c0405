"""NW113: better and better on the training data, worse and worse on others."""

from __future__ import annotations

from collections.abc import Sequence

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.finding import Severity
from normwise.doctor.outcome import Evaluation, Status
from normwise.doctor.rules.judging import TUNED, Seen, rule
from normwise.doctor.rules.layers import number, percent

RISES = 1.3
SUFFERS = 0.1
LEAST = 5
HALF = 0.5


def _see(training: Training, evidence: Evidence) -> Seen | None:
    outcome = training.outcome
    rows = [row for row in outcome.evaluations if row.validation_loss is not None and row.train_loss is not None]
    if len(rows) < LEAST or outcome.status in (Status.STUCK, Status.DIVERGED):
        return None
    best = min(rows, key=lambda row: row.validation_loss or 0.0)
    last = rows[-max(1, len(rows) // 10) :]
    end, train = _mean([row.validation_loss for row in last]), _mean([row.train_loss for row in last])
    low = best.validation_loss or 0.0
    if low <= 0 or end < RISES * low or train >= (best.train_loss or 0.0):
        return None
    lost = _lost(rows, last)
    return Seen(
        f"The network learns its training data by heart: since step {best.step} the validation loss rose from "
        f"{number(low)} to {number(end)} while the training loss fell from {number(best.train_loss or 0.0)} to "
        f"{number(train)}. {_means(training, evidence, end, lost)}",
        since_step=best.step,
        evidence={"best": low, "end": end, "train": train, "step": best.step, "lost": lost},
        weight=0.6,
        severity=Severity.WARNING if outcome.learned is False or (lost or 0.0) >= SUFFERS else Severity.INFO,
    )


def _lost(rows: Sequence[Evaluation], last: Sequence[Evaluation]) -> float | None:
    """How much of what the validation metric had gained at its best it lost until the end; None without a metric."""
    known = [(row.train_loss, row.train, row.validation) for row in rows]
    if any(train is None or value is None for _, train, value in known):
        return None
    sign = 1.0 if known[-1][1] >= known[0][1] else -1.0  # type: ignore[operator]
    values = [sign * row.validation for row in rows if row.validation is not None]
    end = sign * _mean([row.validation for row in last])
    gained = max(values) - values[0]
    return (max(values) - end) / gained if gained > 0 else None


def _means(training: Training, evidence: Evidence, end: float, lost: float | None) -> str:
    outcome = training.outcome
    if outcome.learned is False and _is_far_worse(training, evidence, end):
        return "Validation is far worse than guessing: its targets may not belong to its inputs."
    if outcome.learned is False:
        return "On data that it has not seen it is no better than guessing."
    if lost is not None and lost >= SUFFERS:
        return f"On data that it has not seen it lost {percent(lost)} of what it had learned; stop at that step."
    return "The metric hardly suffers: the network is only too sure of its wrong answers."


def _is_far_worse(training: Training, evidence: Evidence, end: float) -> bool:
    """Whether classes are met far less often than by chance, with a loss far above that of guessing."""
    outcome, targets = training.outcome, training.watched.targets
    chance = evidence.chance or (1 / targets.classes if targets and targets.classes else None)
    rows = outcome.evaluations[-LEAST:]
    if chance is None or outcome.constant is None or training.watched.loss.kind not in ("cross_entropy", "nll"):
        return False
    low = all(row.validation is not None and row.validation < HALF * chance for row in rows)
    well = all(row.train is not None and row.train > chance for row in rows)
    return low and well and end > 2 * outcome.constant


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known)


RULE = rule(
    _see,
    always=True,
    id="NW113",
    name="overfitting",
    meaning="The network goes on to fit its training data, noise included, and gets worse on data that it has not "
    "seen.",
    evidence="Loss and metric of training and validation data at each evaluation.",
    threshold="The validation loss ends 30 % above its best while the training loss fell; a warning where the "
    "validation metric lost a tenth of what it had gained, or is no better than guessing. Less than half of chance, "
    "with a loss of twice that of guessing, speaks of targets that do not belong to their inputs.",
    source=f"Prechelt 1998 (Early Stopping – But When?): generalization loss. 30 % and a tenth: {TUNED}.",
    remedies=("weight-decay", "dropout", "batch-normalization"),
)
