"""What came of a training, by its losses and evaluations: the gate that every warning has to pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import accumulate
from typing import NamedTuple

from normwise.probes.watched import Watched


class Status(StrEnum):
    """What came of a training.

    ``DIVERGED``: the loss, or a weight, was not finite, or the loss grew far beyond its start and stayed there.
    ``STUCK``: the loss is no better than that of the best constant prediction (without targets: than its start).
    ``SLOW``: better, and most of what could be learned is left.
    ``LEARNED``: all else; a loss that never fell has to be low from the start.
    """

    DIVERGED = "diverged"
    STUCK = "stuck"
    SLOW = "slow"
    LEARNED = "learned"


class Evaluation(NamedTuple):
    """One evaluation of the lab: loss and metric of a part, in evaluation mode.

    Attributes:
        step: after so many updates.
        train_loss, validation_loss: None where not finite.
        train, validation: the metric; None where not finite.
    """

    step: int
    train_loss: float | None
    validation_loss: float | None
    train: float | None
    validation: float | None


@dataclass(frozen=True)
class Outcome:
    """What came of a training.

    Attributes:
        status: see there.
        steps: how many were made.
        start: the mean loss of the first steps.
        end: the mean loss of the last steps; None where it is not finite.
        best: the lowest mean loss of as many steps in a row.
        constant: the loss of the best constant prediction; None where there is no telling.
        skill: 1 − end/constant, the share of the loss that was learned away; against ``start`` without ``constant``;
            None where there is no end.
        improving: whether the loss still fell in the last third, beyond its noise.
        noise: the deviation of the loss about its trend in the last third, over ``constant`` or ``start``.
        evaluations: those of the lab; empty in a loop of one's own.
        learned: whether the validation metric stayed beyond chance; None where there was no evaluation.
    """

    status: Status
    steps: int
    start: float
    end: float | None
    best: float | None
    constant: float | None
    skill: float | None
    improving: bool
    noise: float
    evaluations: tuple[Evaluation, ...] = ()
    learned: bool | None = None


LOW = 0.5
"""Of the constant's loss: a training that begins below it need not fall."""
STUCK, LEARNED = 0.02, 0.5
"""The skill up to which a training that does not improve is stuck, and from which it learned."""
YOUNG = 100
"""Steps up to which a loss that falls is not stuck; after more it has to come below the constant's in as many again."""
ONCE = 0.1
"""The skill, over a fifth of the steps, by which a training learned something even if it lost it again."""
FAR = 3.0
"""So many times the constant's loss, or the start's where that is higher: beyond it a training diverged."""
ALONE = 10.0
"""The same where the constant is not known: losses of adversaries grow in healthy trainings."""
SURE = 3.0
"""Standard errors beyond which a loss fell."""
LOGITS = 10.0
"""So many deviations of the outputs a first loss may be above that of guessing: a larger one is a sum, or weighted."""


def outcome(watched: Watched, evaluations: Sequence[Evaluation] = (), *, learned: bool | None = None) -> Outcome:
    """What came of a training.

    The yardstick is the loss of the best constant prediction; where that is not known, what guessing scores under the
    loss (log K for K classes); else the training's own start. Means are over a fifth of the steps at the end, a
    twentieth at the start.

    Args:
        watched: what the recorder saw.
        evaluations: those of the lab.
        learned: whether the validation metric stayed beyond chance, where that was asked.
    """
    losses = [loss for loss in watched.losses if math.isfinite(loss)]
    finite = len(losses) == len(watched.losses) and len(losses) > 0 and not _broke(watched)
    window = max(1, len(losses) // 5)
    start = _mean(losses[: max(1, min(10, len(losses) // 20))])
    best = min(_means(losses, window), default=None)
    end = _mean(losses[-window:]) if finite else None
    constant = _one_hot(watched) if is_one_hot(watched) else watched.constant
    constant = _guessing(watched, start) if constant is None else constant
    reference = constant if constant is not None and constant > 0 else abs(start)
    fall, error, noise = _last_third(losses)
    outcome = Outcome(
        status=Status.LEARNED,
        steps=watched.steps,
        start=start,
        end=end,
        best=best,
        constant=constant,
        skill=None if end is None or not reference > 0 else 1 - end / reference,
        improving=finite and fall > SURE * error and fall > 1e-4 * reference,
        noise=noise / reference if reference > 0 else 0.0,
        evaluations=tuple(evaluations),
        learned=learned,
    )
    fell = _fell(outcome, len(losses), measured=watched.constant is not None)
    return replace(outcome, status=_status(outcome, len(losses), fall, fell=fell))


def _status(outcome: Outcome, count: int, fall: float, *, fell: bool) -> Status:
    if outcome.end is None or outcome.end > _limit(outcome):
        return Status.DIVERGED
    if outcome.skill is None:  # a loss that starts at 0 or below has no yardstick
        return Status.LEARNED if outcome.improving or outcome.end < outcome.start else Status.STUCK
    if outcome.skill >= LEARNED:
        return Status.LEARNED if fell or outcome.learned else Status.STUCK
    beyond_noise = max(STUCK, 2 * outcome.noise / max(1, count // 5) ** 0.5)
    if (outcome.learned or _once_learned(outcome)) and outcome.skill > 1 - FAR:
        return Status.SLOW
    if outcome.skill > beyond_noise:
        return Status.SLOW
    arrives = outcome.skill > 1 - FAR and (count < YOUNG or outcome.end - 3 * fall < (1 - STUCK) * _reference(outcome))
    return Status.SLOW if outcome.improving and outcome.learned is not False and arrives else Status.STUCK


def _fell(outcome: Outcome, count: int, *, measured: bool) -> bool:
    """Whether the loss fell beyond its noise, or was low from the start, as that of a network that was trained before.

    Low is half of a constant's loss that was measured, or a quarter of what guessing scores.
    """
    if outcome.end is None or outcome.constant is None or outcome.learned is False:
        low = False
    else:
        low = outcome.start < (LOW if measured else LOW / 2) * outcome.constant
    error = outcome.noise * _reference(outcome) * (1 / max(1, min(10, count // 20)) + 1 / max(1, count // 5)) ** 0.5
    return low or (outcome.end is not None and outcome.start - outcome.end > max(2 * error, 1e-3 * abs(outcome.start)))


def _reference(outcome: Outcome) -> float:
    return abs(outcome.start) if outcome.constant is None else outcome.constant


def _once_learned(outcome: Outcome) -> bool:
    """Whether the loss was well below the constant's: that of a discriminator comes back as its adversary learns."""
    return outcome.constant is not None and outcome.best is not None and outcome.best < (1 - ONCE) * outcome.constant


def _limit(outcome: Outcome) -> float:
    """The loss beyond which a training diverged."""
    if outcome.constant is None:
        return outcome.start + (ALONE - 1) * abs(outcome.start)
    return FAR * max(outcome.start, outcome.constant)


def _broke(watched: Watched) -> bool:
    """Whether the last weights were not finite; a gradient alone that is not is skipped by mixed precision."""
    return watched.not_finite is not None and watched.not_finite.what == "weight"


def is_one_hot(watched: Watched) -> bool:
    """Whether a regression's loss compares K outputs with class numbers, which it must have made vectors of 0 and 1."""
    targets, outputs = watched.targets, watched.loss.outputs
    if watched.loss.kind not in ("mse", "mae", "huber") or targets is None or not outputs or len(outputs) != 2:
        return False
    return outputs[1] > 2 and targets.low == 0 and targets.high == outputs[1] - 1


def _one_hot(watched: Watched) -> float | None:
    """The squared error of equal shares, the mean over K outputs."""
    classes = (watched.loss.outputs or (1, 1))[1]
    scale = watched.loss.scale
    return scale * (classes - 1) / classes**2 if watched.loss.kind == "mse" and scale else None


def _guessing(watched: Watched, start: float) -> float | None:
    """What guessing scores, by the loss and the size of the output alone; None where the loss is no mean of that kind.

    Logits that spread by σ cannot make a mean cross-entropy larger than that of guessing by many times σ.
    """
    kind, outputs, scale = watched.loss.kind, watched.loss.outputs, watched.loss.scale
    if scale is None:
        return None
    if kind in ("cross_entropy", "nll") and outputs and len(outputs) > 1 and outputs[1] > 1:
        guess = math.log(outputs[1])
    elif kind in ("bce", "bce_with_logits"):
        guess = math.log(2)
    else:
        return None
    first = watched.observations[0].outputs if watched.observations else None
    spread = math.hypot(first.mean, first.std) if first else math.inf
    return None if start > scale * (guess + LOGITS * max(1.0, spread)) else scale * guess


def _last_third(losses: Sequence[float]) -> tuple[float, float, float]:
    """How far the trend of the last third fell, the standard error of that, and the deviation about the trend."""
    last = losses[-max(3, len(losses) // 3) :]
    count = len(last)
    if count < 3:
        return 0.0, math.inf, 0.0
    times = [index - (count - 1) / 2 for index in range(count)]
    square = sum(time * time for time in times)
    slope = sum(time * loss for time, loss in zip(times, last, strict=True)) / square
    middle = _mean(last)
    rest = [loss - middle - slope * time for time, loss in zip(times, last, strict=True)]
    noise = math.sqrt(sum(each * each for each in rest) / (count - 2))
    return -slope * (count - 1), noise / math.sqrt(square) * (count - 1), noise


def _means(losses: Sequence[float], window: int) -> list[float]:
    sums = [0.0, *accumulate(losses)]
    return [(high - low) / window for low, high in zip(sums, sums[window:], strict=False)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
