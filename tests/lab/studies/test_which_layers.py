"""The claims of which-layers against numbers that are known."""

import pytest

from normwise.lab.studies.which_layers import at_best_rate, every_second_is_enough, last_brings_two_thirds
from reproductions import outcome, run


def made(network, **tests):
    """An outcome of test accuracies, one a seed, by what is normalized."""
    arms = {f"{network}, {name.replace('_', ' ')}": values for name, values in tests.items()}
    return outcome(
        {arm: [run(arm, seed, best=best, lr=0.1) for seed, best in enumerate(each)] for arm, each in arms.items()}
    )


@pytest.mark.parametrize(
    ("none", "half", "verdict"),
    [(0.11, 0.9, "holds"), (0.11, 0.7, "does not hold"), (0.85, 0.9, "does not hold")],
)
def test_every_second_layer_must_make_the_difference(none, half, verdict):
    assert every_second_is_enough(made("sigmoid", none=(none, none), every_second=(half, half))).verdict == verdict


@pytest.mark.parametrize(
    ("last", "every", "verdict"),
    [
        ((0.916, 0.916), (0.925, 0.925), "holds"),
        ((0.905, 0.905), (0.925, 0.925), "does not hold"),
        ((0.915, 0.917), (0.91, 0.93), "undecided"),
    ],
)
def test_the_share_of_the_last_layer_counts_where_the_gain_is_clear(last, every, verdict):
    assert last_brings_two_thirds(made("ReLU", none=(0.9, 0.9), last=last, all=every)).verdict == verdict


def test_a_network_is_judged_at_its_best_learning_rate():
    runs = [run("x", seed, best=best, lr=lr) for lr, both in {0.1: (0.5, 0.7), 1.0: (0.8, 0.2)}.items()
            for seed, best in enumerate(both)]  # fmt: skip
    assert {each.settings["lr"] for each in at_best_rate(outcome({"x": runs}), "x")} == {0.1}
