"""NW106: steps that are too long."""

from __future__ import annotations

import math

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.outcome import Status
from normwise.doctor.rules import layers
from normwise.doctor.rules.judging import BAD, TUNED, Seen, rule
from normwise.doctor.rules.layers import number

LARGE, HUGE = 0.1, 1.0
RISES = 2.0


def _see(training: Training, evidence: Evidence) -> Seen | None:
    watched, outcome = training.watched, training.outcome
    if watched.optimizer is None and not any(row.update for seen in watched.observations for row in seen.weights):
        return None
    profiles = [layers.updates([seen]) for seen in layers.beginning(watched)]
    peaks = [(max(profile.values), profile) for profile in profiles if profile.values]
    if not peaks:
        return None
    moves, profile = max(peaks, key=lambda peak: peak[0])
    rises = _rises(training)
    broke = outcome.status is Status.DIVERGED
    if moves < LARGE or not (broke or rises >= RISES or moves >= HUGE or outcome.status in BAD):
        return None
    layer = profile.layers[profile.values.index(moves)]
    return Seen(
        f"The steps are too long: one update changed the weights of layer {layer} by {number(moves)} times their size"
        f"{_then(training, rises)}. So long a step lands far away from where its gradient was measured, and makes the "
        "loss larger instead of smaller.",
        where=(layer,),
        since_step=watched.observations[0].step,
        evidence={"update_over_weight": moves, "layer": layer, "rises": rises, "lr": _rate(training)},
        weight=0.5 + 0.2 * (moves >= HUGE) + 0.25 * (broke or rises >= RISES),
        strong=broke or rises >= RISES or moves >= HUGE,
    )


def _rises(training: Training) -> float:
    """The largest loss over the larger of the start's and the constant's."""
    losses, outcome = training.watched.losses, training.outcome
    if any(not math.isfinite(loss) for loss in losses):
        return math.inf
    base = max(losses[0] if losses else 0.0, outcome.constant or 0.0)
    return max(losses, default=0.0) / base if base > 0 else 1.0


def _then(training: Training, rises: float) -> str:
    if math.isinf(rises):
        return ", and the loss became infinite"
    return f", and the loss rose to {number(rises)} times what it began with" if rises >= RISES else ""


def _rate(training: Training) -> float | None:
    return training.watched.optimizer.lr if training.watched.optimizer else None


RULE = rule(
    _see,
    cures=("lr/10", "lr/100"),
    cured="The learning rate is too high: with a smaller one, and nothing else changed, the network learns far more.",
    id="NW106",
    name="learning-rate-too-high",
    meaning="The gradient says where the loss falls close by. A step that is too long leaves that neighborhood: the "
    "loss jumps about or grows, weights become large, and ReLU units are pushed where they never answer again.",
    evidence="‖ΔW‖/‖W‖ of each linear map in the first recorded steps, and how far the loss rose above its start.",
    threshold="One update is at least 0.1 of the weights, and the training diverged, is stuck, or its loss rose to "
    "twice its start; or an update is larger than the weights.",
    source=f"DeepDiagnosis (Wardat et al., ICSE 2022) and TheDeepChecker: updates above 0.1. The rise: {TUNED}.",
    remedies=("lr/10", "lr/100", "clip", "warmup", "batch-normalization", "adam"),
)
