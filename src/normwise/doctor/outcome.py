"""What came of a training, by its losses and evaluations: the gate that every warning has to pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from normwise.probes.watched import Watched


class Status(StrEnum):
    """What came of a training.

    ``DIVERGED``: the loss, or a weight, was not finite, or the loss grew far beyond its start and stayed there.
    ``STUCK``: the loss is no better than that of the best constant prediction (without targets: than its start).
    ``SLOW``: better, and most of what could be learned is left.
    ``LEARNED``: all else.
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


def outcome(watched: Watched, evaluations: Sequence[Evaluation] = (), *, learned: bool | None = None) -> Outcome:
    """What came of a training."""
    raise NotImplementedError
