"""NW109: a loss that jumps up and down and gets nowhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.outcome import Status
from normwise.doctor.rules.judging import TUNED, Seen, rule
from normwise.doctor.rules.layers import number, percent

BLOCKS = 20
SWING = 0.1
TURNS = 0.2
NOISE = 3.0


def _see(training: Training, evidence: Evidence) -> Seen | None:
    outcome = training.outcome
    if outcome.status is Status.DIVERGED or outcome.improving or outcome.steps < 2 * BLOCKS:
        return None
    level = outcome.constant or abs(outcome.start)
    measured = [each.train_loss for each in outcome.evaluations if each.train_loss is not None]
    curve = measured if len(measured) >= BLOCKS else _blocks(training.watched.losses)
    noise = 0.0 if curve is measured else outcome.noise / math.sqrt(max(1, outcome.steps // BLOCKS))
    share, swing = swings(curve[len(curve) // 3 :], level, max(SWING, NOISE * noise))
    if share < TURNS or level <= 0:
        return None
    return Seen(
        f"The loss jumps up and down instead of falling: it rose by more than {percent(SWING)} of the loss of guessing "
        f"in {percent(share)} of the intervals, by up to {number(swing)}. The steps are too long, or the gradient of "
        "so few examples points in another direction every time.",
        evidence={"rises": share, "largest": swing, "noise": outcome.noise},
        weight=0.5,
        strong=share >= 2 * TURNS,
    )


def _blocks(losses: Sequence[float]) -> list[float]:
    size = max(1, len(losses) // BLOCKS)
    parts = [losses[start : start + size] for start in range(0, len(losses) - size + 1, size)]
    return [sum(part) / len(part) for part in parts]


def swings(curve: Sequence[float], level: float, least: float = SWING) -> tuple[float, float]:
    """The share of intervals in which a curve rose by more than this part of a level, and its largest rise."""
    rises = [after - before for before, after in pairwise(curve)]
    if not rises:
        return 0.0, 0.0
    return sum(rise > least * level for rise in rises) / len(rises), max(rises)


RULE = rule(
    _see,
    cures=("batch-size*4", "momentum"),
    id="NW109",
    name="oscillating-loss",
    meaning="The loss rises as often as it falls. Steps are too long for the valley that the loss has, or a batch has "
    "so few examples that its gradient points elsewhere every time.",
    evidence="The loss of the training sample at each evaluation, or the means of twentieths of the training; without "
    "the first third.",
    threshold="It rises by more than a tenth of the loss of guessing in at least 20 % of the intervals (40 % where the "
    "training is only slow), by three times what the noise of batches gives, and does not fall on the whole.",
    source=f"AUTOTRAINER (Zhang et al., ICSE 2021): 20 % of the intervals. A tenth: {TUNED}.",
    remedies=("lr/10", "adam", "batch-size*4", "lr/100", "momentum", "batch-normalization"),
)
