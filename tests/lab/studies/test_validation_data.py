"""The claims of validation-data against numbers that are known, and the simulation against a known law."""

import numpy as np
import pytest

from normwise.lab.studies.shared.choosing import CANDIDATES, SIZES, simulated
from normwise.lab.studies.validation_data import (
    choice_is_worse,
    grows,
    looks_better,
    validation_is_fair,
)
from reproductions import outcome


def made(test=(0, 1, 2, 3, 4, 5), validation=0.0, true=0.9, other=0.9):
    """An outcome of one pool: the excess in points by number of candidates, with standard errors of 0.1 points."""
    same = {"validation": [validation / 100, 0.001], "true": [true, 0.001], "other": [other, 0.001]}
    cells = [{"test": [each / 100, 0.001], **same} for each in test]
    return outcome(measured={"search": [{"accuracies": [0.9], "found": {str(size): cells for size in SIZES}}]})


@pytest.mark.parametrize(
    ("judge", "numbers", "verdict"),
    [
        (looks_better, {}, "holds"),
        (looks_better, {"test": (0, 0.2, 2, 3, 4, 5)}, "undecided"),
        (looks_better, {"test": (0, -0.2, 2, 3, 4, 5)}, "does not hold"),
        (grows, {}, "holds"),
        (grows, {"test": (0, 1, 1, 1, 1, 1)}, "does not hold"),
        (validation_is_fair, {}, "holds"),
        (validation_is_fair, {"validation": 0.5}, "does not hold"),
        (choice_is_worse, {}, "does not hold"),
        (choice_is_worse, {"true": 0.88}, "holds"),
    ],
)
def test_each_claim_can_hold_and_fail(judge, numbers, verdict):
    assert judge(made(**numbers)).verdict == verdict


def test_equal_candidates_look_better_by_the_expected_maximum():
    rng = np.random.default_rng(0)
    hits = np.stack([rng.permutation(4000) < 3600 for _ in range(CANDIDATES[-1])])  # all right on 90 %
    found = simulated(rng, hits, 10, 100, 2000)
    highest = np.mean([rng.binomial(100, 0.9, 10).max() / 100 for _ in range(4000)]) - 0.9
    assert abs(found["test"][0] - highest) < 5 * found["test"][1]
    assert abs(found["validation"][0]) < 5 * found["validation"][1]
    assert found["true"] == [pytest.approx(0.9), pytest.approx(0)]
