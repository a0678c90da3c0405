from __future__ import annotations

import math
import random

import pytest

from doctor.evidence import LEARNS, SLOW, STUCK, watched
from normwise.doctor.outcome import Status, outcome
from normwise.probes.watched import Loss, NotFinite, Targets


def noisy(losses, noise: float):
    random.seed(0)
    return tuple(loss + random.gauss(0, noise) for loss in losses)


OTHER = Loss("other")
SCALED, UNKNOWN = (Loss("cross_entropy", (), (32, 10), scale) for scale in (0.25, None))
FALLS = tuple(6e5 - 1000 * step for step in range(320))
ONE_HOT = {"loss": Loss("mse", (), (32, 10)), "targets": Targets(low=0.0, high=9.0), "constant": 8.25}
"""Class numbers, of which the loss makes vectors of 0 and 1."""
LATE = tuple(2.303 if step < 200 else max(0.4, 2.303 - 0.03 * (step - 200)) for step in range(320))


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        (Status.LEARNED, {"losses": LEARNS}),
        (Status.LEARNED, {"losses": noisy(LEARNS, 0.3)}),
        (Status.LEARNED, {"losses": LATE}),  # a plateau first
        (Status.SLOW, {"losses": SLOW}),
        (Status.SLOW, {"losses": noisy(SLOW, 0.2)}),
        (Status.SLOW, {"losses": tuple(2.7 - 0.02 * step for step in range(15))}),  # young, and falling steadily
        (Status.STUCK, {"losses": STUCK}),
        (Status.STUCK, {"losses": noisy(STUCK, 1.0)}),
        (Status.STUCK, {"losses": tuple(5 + math.sin(step) for step in range(320))}),  # worse than guessing
        (Status.STUCK, {"losses": FALLS, "constant": 1e3, "loss": Loss("mse")}),  # falls by half, and is far away
        (Status.DIVERGED, {"losses": (*LEARNS, math.nan)}),
        (Status.DIVERGED, {"losses": LEARNS, "not_finite": NotFinite(320, "weight", "0")}),
        (Status.DIVERGED, {"losses": tuple(2.3 + 0.1 * step for step in range(320))}),
        (Status.SLOW, {"losses": tuple(2.3 - 1.2 * math.sin(0.01 * step) for step in range(320))}),  # comes back
        (Status.STUCK, {"losses": tuple(2.31 + 0.5 * 0.985**step for step in range(320))}),  # down to that of guessing
        (Status.STUCK, ONE_HOT | {"losses": (0.09,) * 320}),
        (Status.LEARNED, ONE_HOT | {"losses": tuple(0.02 + 0.1 * 0.97**step for step in range(320))}),
        # without targets
        (Status.STUCK, {"losses": STUCK, "constant": None}),
        (Status.LEARNED, {"losses": tuple(550 * 0.99**step for step in range(320)), "constant": None, "loss": OTHER}),
        (Status.LEARNED, {"losses": tuple(-0.1 * step for step in range(320)), "constant": None, "loss": OTHER}),
        # a sum over 64 pixels and more: guessing at one pixel is no yardstick
        (
            Status.LEARNED,
            {"losses": tuple(15 + 30 * 0.9**step for step in range(320)), "constant": None}
            | {"loss": Loss("bce_with_logits", (), (32, 64))},
        ),
        # half of what guessing scores, and it never fell: the loss is not what it seems
        (Status.STUCK, {"losses": tuple(0.4 * each for each in STUCK), "constant": None}),
        (Status.LEARNED, {"losses": tuple(0.1 * each for each in STUCK), "constant": None}),  # trained before
        (Status.LEARNED, {"losses": tuple(0.4 * each for each in STUCK)}),
        # scaled losses
        (Status.STUCK, {"losses": tuple(each / 4 for each in STUCK), "constant": None, "loss": SCALED}),
        (Status.LEARNED, {"losses": tuple(each / 4 for each in LEARNS), "constant": None, "loss": SCALED}),
        (Status.STUCK, {"losses": tuple(each / 4 for each in STUCK), "constant": None, "loss": UNKNOWN}),
        # mixed precision skips a step whose gradient is not finite
        (Status.LEARNED, {"losses": LEARNS, "not_finite": NotFinite(1, "gradient", "0")}),
    ],
)
def test_status(status, changes):
    assert outcome(watched(**changes)).status is status


def test_evaluations_say_whether_a_loss_that_never_fell_is_low():
    low = watched(losses=tuple(0.4 * each for each in STUCK))
    assert outcome(low, learned=True).status is Status.LEARNED
    assert outcome(low, learned=False).status is Status.STUCK


def test_validation_beyond_chance_is_not_stuck():
    assert outcome(watched(losses=STUCK), learned=True).status is Status.SLOW
    assert outcome(watched(losses=STUCK), learned=False).status is Status.STUCK


def test_the_numbers():
    result = outcome(watched(losses=(2.0,) * 100 + (1.0,) * 200, constant=2.0))
    assert (result.start, result.end, result.best, result.skill) == (2.0, 1.0, 1.0, 0.5)
    assert (result.improving, result.noise) == (False, 0.0)
