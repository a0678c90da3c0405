"""The claims of weight-init against numbers that are known."""

import pytest

from normwise.lab.studies.weight_init import he_is_first, stays_at_chance
from reproductions import outcome, run


def made(small, xavier, he):
    """An outcome whose arms end at these training losses, one a seed."""
    arms = {"std 0.01": small, "Xavier": xavier, "He": he}
    return outcome(
        {arm: [run(arm, seed, loss=[2.3, last]) for seed, last in enumerate(ends)] for arm, ends in arms.items()}
    )


@pytest.mark.parametrize(("ends", "verdict"), [((2.30, 2.31), "holds"), ((2.30, 0.5), "does not hold")])
def test_small_weights_stay_at_chance_only_if_every_run_does(ends, verdict):
    assert stays_at_chance(made(ends, (1, 1), (1, 1))).verdict == verdict


@pytest.mark.parametrize(
    ("xavier", "he", "verdict"),
    [
        ((0.4, 0.5), (0.2, 0.3), "holds"),
        ((0.4, 0.5), (0.5, 0.6), "does not hold"),
        ((0.4, 0.5), (0.5, 0.4), "undecided"),
        ((0.4, 0.5), (0.39, 0.3), "undecided"),
    ],
)
def test_a_mixed_result_decides_nothing(xavier, he, verdict):
    assert he_is_first(made((2.3, 2.3), xavier, he)).verdict == verdict
