"""The claims of learning-rate against numbers that are known."""

import pytest

from normwise.lab.studies.learning_rate import (
    is_the_same_at_small_rates,
    is_wider,
    reaches_higher,
    wins_at_a_larger_rate,
)
from reproductions import outcome, run

RATES = (0.0001, 0.001, 0.01, 0.1, 1.0, 10.0)
PLAIN = (0.1, 0.92, 0.95, 0.96, 0.1, 0.1)


def made(plain, bn):
    """An outcome of two runs of each arm at each rate with these accuracies at its end."""
    arms = {"plain": plain, "bn": bn}
    return outcome(
        {
            arm: [
                run(arm, seed, accuracy=(0.1, value), lr=rate)
                for rate, value in zip(RATES, values, strict=True)
                for seed in (0, 1)
            ]
            for arm, values in arms.items()
        }
    )


@pytest.mark.parametrize(
    ("bn", "higher", "wider", "wins"),
    [
        ((0.1, 0.92, 0.95, 0.96, 0.97, 0.5), "holds", "holds", "holds"),
        ((0.1, 0.92, 0.95, 0.96, 0.96, 0.95), "holds", "holds", "does not hold"),
        ((0.1, 0.5, 0.95, 0.96, 0.97, 0.5), "holds", "undecided", "holds"),
        ((0.1, 0.5, 0.97, 0.96, 0.5, 0.5), "does not hold", "does not hold", "does not hold"),
        ((0.1, 0.92, 0.95, 0.95, 0.94, 0.95), "holds", "holds", "does not hold"),
        ((0.1, 0.1, 0.1, 0.1, 0.1, 0.1), "undecided", "undecided", "does not hold"),
    ],
)
def test_the_working_rates_decide(bn, higher, wider, wins):
    found = made(PLAIN, bn)
    assert reaches_higher(found).verdict == higher
    assert is_wider(found).verdict == wider
    assert wins_at_a_larger_rate(found).verdict == wins


@pytest.mark.parametrize(("at_small", "verdict"), [(0.93, "holds"), (0.95, "does not hold")])
def test_small_rates_are_those_at_which_both_work(at_small, verdict):
    assert is_the_same_at_small_rates(made(PLAIN, (0.1, at_small, 0.95, 0.97, 0.97, 0.5))).verdict == verdict


@pytest.mark.parametrize(("at_largest", "verdict"), [(0.1, "holds"), (0.95, "undecided")])
def test_a_range_of_the_plain_network_that_goes_on_at_the_end_of_the_grid_decides_nothing(at_largest, verdict):
    found = made((0.1, 0.1, 0.95, at_largest, at_largest, at_largest), (0.1, 0.92, 0.95, 0.97, 0.97, 0.97))
    assert is_wider(found).verdict == verdict
    assert "the largest rate tried works with BN" in is_wider(found).words


def test_a_run_that_diverged_did_not_work():
    plain = [run("plain", accuracy=(0.1, 0.95), lr=0.1), run("plain", accuracy=(0.1, 0.95), lr=1.0, status="diverged")]
    bn = [run("bn", accuracy=(0.1, 0.95), lr=0.1), run("bn", accuracy=(0.1, 0.95), lr=1.0)]
    assert reaches_higher(outcome({"plain": plain, "bn": bn})).verdict == "holds"
