"""The claims of figure-1a against numbers that are known."""

import pytest

from normwise.lab.reproduction.drawing import published
from normwise.lab.studies.figure_1a import (
    ARMS,
    CHOICES,
    depends_on_the_setting,
    distance,
    ends_higher,
    is_ahead_by_a_factor,
    is_near,
)
from reproductions import outcome, run

STEPS = [0, 4000, 10_000, 15_000, 20_000]


def made(plain, bn, tuned=(0.1, 0.9, 0.9, 0.9, 0.9)):
    """An outcome of two runs of each arm with these test accuracies; the first choice is the best by validation."""
    curves = {**dict(zip(ARMS, (plain, bn), strict=True)), **dict.fromkeys(CHOICES, tuned)}
    best = {arm: 0.9 if arm == next(iter(CHOICES)) else 0.5 for arm in curves}
    runs = {
        arm: [run(arm, seed, loss=[1.0] * len(STEPS), accuracy=curve, steps=STEPS, best=best[arm]) for seed in (0, 1)]
        for arm, curve in curves.items()
    }
    return outcome(runs)


def published_plus(name, offset, last):
    """A run that lies an offset above a published curve, up to a step."""
    rows = [row for row in published(name) if row["step"] < last]
    values = [row["test_accuracy"] + offset for row in rows]
    return run("any", loss=[1.0] * len(rows), accuracy=values, steps=[row["step"] for row in rows])


@pytest.mark.parametrize(
    ("offset", "last", "bn", "plain"),
    [
        (0.005, 50_000, "holds", "holds"),
        (0.02, 50_000, "does not hold", "holds"),
        (0.05, 15_000, "does not hold", "undecided"),
        (0.05, 50_000, "does not hold", "does not hold"),
    ],
)
def test_the_distance_is_that_from_the_published_curve(offset, last, bn, plain):
    curves = {"bn": "fig1a_withBN", "plain": "fig1a_withoutBN"}
    runs = {arm: [published_plus(name, offset, last)] for arm, name in curves.items()}
    assert distance(runs["bn"][0], curves["bn"]) == pytest.approx(offset)
    assert [is_near(outcome(runs), arm).verdict for arm in ("bn", "plain")] == [bn, plain]


BN = (0.1, 0.953, 0.965, 0.972, 0.975)


@pytest.mark.parametrize(
    ("plain", "ahead", "higher"),
    [
        ((0.1, 0.73, 0.926, 0.953, 0.963), "holds", "holds"),
        ((0.1, 0.93, 0.960, 0.970, 0.976), "does not hold", "does not hold"),
    ],
)
def test_how_far_bn_is_ahead(plain, ahead, higher):
    assert is_ahead_by_a_factor(made(plain, BN)).verdict == ahead
    assert ends_higher(made(plain, BN)).verdict == higher


@pytest.mark.parametrize(
    ("before", "early", "verdict"),
    [(0.73, 0.93, "holds"), (0.73, 0.80, "does not hold"), (0.95, 0.96, "undecided")],
)
def test_a_better_setting_makes_up_more_than_half_of_a_lead_or_less(before, early, verdict):
    plain = (0.1, before, 0.926, 0.953, 0.963)
    assert depends_on_the_setting(made(plain, BN, tuned=(0.1, early, 0.96, 0.97, 0.97))).verdict == verdict


def test_a_short_run_decides_nothing():
    short = outcome({arm: [run(arm, steps=[0, 40])] for arm in (*ARMS, *CHOICES)})
    found = [is_near(short, "bn"), is_near(short, "plain"), is_ahead_by_a_factor(short), depends_on_the_setting(short)]
    assert {each.verdict for each in found} == {"undecided"}
