"""The claims of weight-decay against numbers that are known."""

import pytest

from normwise.lab.studies import weight_decay
from reproductions import outcome


def fitted(train, test, norm=(10.0, 10.0)):
    """What a seed of ``fit`` returns that is measured at the beginning and at the book's last epoch."""
    return {"epoch": [0, weight_decay.PUBLISHED], "train": [0.1, train], "test": [0.1, test], "norm": list(norm)}


def made(without, decayed):
    """An outcome from (train, test[, norm]) of each seed without and with decay."""
    return outcome(
        measured={"λ = 0": [fitted(*each) for each in without], "λ = 0.1": [fitted(*each) for each in decayed]}
    )


WITHOUT = ((1.0, 0.75), (1.0, 0.76), (1.0, 0.77))


@pytest.mark.parametrize(
    ("without", "verdict"),
    [
        (WITHOUT, "holds"),
        (((0.98, 0.7), (0.97, 0.7)), "does not hold"),
        (((1.0, 0.95), (1.0, 0.96)), "does not hold"),
        (((1.0, 0.75), (0.98, 0.75)), "undecided"),
    ],
)
def test_overfitting_takes_all_training_images_and_a_gap(without, verdict):
    assert weight_decay.overfits_without(made(without, without)).verdict == verdict


@pytest.mark.parametrize(
    ("decayed", "gap", "test"),
    [
        (((0.9, 0.80), (0.9, 0.81), (0.9, 0.82)), "holds", "holds"),
        (((0.8, 0.70), (0.8, 0.71), (0.8, 0.72)), "holds", "does not hold"),
        (((1.0, 0.70), (1.0, 0.71), (1.0, 0.72)), "does not hold", "does not hold"),
        (((0.95, 0.70), (0.95, 0.8), (0.95, 0.75)), "undecided", "undecided"),
    ],
)
def test_a_smaller_gap_is_not_yet_a_better_network(decayed, gap, test):
    found = made(WITHOUT, decayed)
    assert weight_decay.shrinks_the_gap(found).verdict == gap
    assert weight_decay.has_better_test(found).verdict == test


@pytest.mark.parametrize(
    ("ends", "verdict"), [((12.0, 8.0), "holds"), ((10.5, 8.0), "does not hold"), ((12.0, 11.0), "does not hold")]
)
def test_weights_that_grow_large_grow_by_a_tenth(ends, verdict):
    without, decayed = ([(1.0, 0.7, (10.0, end))] for end in ends)
    assert weight_decay.grows_without(made(without, decayed)).verdict == verdict
