"""The claims of bn-regularizes against numbers that are known."""

import pytest

from normwise.lab.studies import bn_regularizes as study
from reproductions import outcome

NOISE = (-0.001, 0.0, 0.001)
BASE = {"neither": 0.75, "dropout": 0.79, "bn": 0.80, "both": 0.80}


def made(few=BASE, many=BASE):
    """An outcome whose arms have these test accuracies at the epoch that is best by validation, and less later."""
    measured = {}
    for size, tests in ((study.FEW, few), (study.MANY, many)):
        for arm, test in tests.items():
            measured[f"{arm}, {size:,}"] = [
                {
                    "validation": [0.5, 0.7, 0.6],
                    "train": [0.5, 0.95, 1.0],
                    "test": [0.5, test + off * (arm == "bn"), 0.4],
                }
                for off in NOISE
            ]
    return outcome(measured=measured)


@pytest.mark.parametrize(
    ("changed", "better", "less", "removed"),
    [
        ({}, "holds", "holds", "holds"),
        ({"bn": 0.70}, "does not hold", "does not hold", "does not hold"),
        ({"bn": 0.7505, "both": 0.7905}, "undecided", "undecided", "does not hold"),
        ({"both": 0.8055}, "holds", "holds", "undecided"),
    ],
)
def test_a_claim_without_a_condition_holds_with_few_and_with_many_images(changed, better, less, removed):
    for size, found in ((study.FEW, made(few=BASE | changed)), (study.MANY, made(many=BASE | changed))):
        assert study.test_is_better(found).verdict == better
        assert study.gap_is_smaller(found).verdict == better
        assert study.dropout_adds_less(found).verdict == less
        assert study.can_be_removed(found, size).verdict == removed
