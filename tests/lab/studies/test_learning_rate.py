"""The claims of learning-rate against numbers that are known."""

import pytest

from normwise.lab.studies.learning_rate import (
    is_the_same_at_small_rates,
    is_wider,
    reaches_higher,
    wins_at_a_larger_rate,
)
from reproductions import outcome, run

RATES = (0.001, 0.01, 0.1, 1.0, 10.0)
PLAIN = (0.92, 0.95, 0.96, 0.1, 0.1)


def made(plain, bn):
    """An outcome of one run of each arm at each rate with these accuracies at its end."""
    arms = {"plain": plain, "bn": bn}
    return outcome(
        {
            arm: [run(arm, accuracy=(0.1, value), lr=rate) for rate, value in zip(RATES, values, strict=True)]
            for arm, values in arms.items()
        }
    )


@pytest.mark.parametrize(
    ("bn", "higher", "wider", "wins"),
    [
        ((0.92, 0.95, 0.96, 0.97, 0.5), "holds", "holds", "holds"),
        ((0.5, 0.95, 0.96, 0.97, 0.5), "holds", "does not hold", "holds"),
        ((0.92, 0.97, 0.96, 0.5, 0.5), "does not hold", "does not hold", "does not hold"),
        ((0.92, 0.95, 0.96, 0.96, 0.5), "holds", "holds", "does not hold"),
        ((0.1, 0.1, 0.1, 0.1, 0.1), "undecided", "undecided", "does not hold"),
    ],
)
def test_the_working_rates_decide(bn, higher, wider, wins):
    found = made(PLAIN, bn)
    assert reaches_higher(found).verdict == higher
    assert is_wider(found).verdict == wider
    assert wins_at_a_larger_rate(found).verdict == wins


@pytest.mark.parametrize(("at_small", "verdict"), [(0.93, "holds"), (0.95, "does not hold")])
def test_small_rates_are_those_at_which_both_work(at_small, verdict):
    assert is_the_same_at_small_rates(made(PLAIN, (at_small, 0.95, 0.97, 0.97, 0.5))).verdict == verdict


def test_a_run_that_diverged_did_not_work():
    arms = {arm: [run(arm, accuracy=(0.1, 0.95), lr=0.1)] for arm in ("plain", "bn")}
    arms["plain"] += [run("plain", accuracy=(0.1, 0.95), lr=1.0, status="diverged")]
    arms["bn"] += [run("bn", accuracy=(0.1, 0.95), lr=1.0)]
    assert reaches_higher(outcome(arms)).verdict == "holds"
