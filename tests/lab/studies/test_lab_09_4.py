"""The claims of lab-09-4 against numbers that are known."""

import pytest

from normwise.lab.studies.lab_09_4 import is_lower_at_every_epoch, is_steadier, is_what_was_recorded, recorded
from reproductions import outcome, run


def made(bn, plain, accuracy=None):
    """An outcome of two runs of each arm with these losses after each epoch; before the first it is 2.3."""
    runs = {
        arm: [run(arm, seed, loss=[2.3, *losses], accuracy=[0.1, *(accuracy or {arm: losses})[arm]]) for seed in (0, 1)]
        for arm, losses in {"plain": plain, "bn": bn}.items()
    }
    return outcome(runs)


@pytest.mark.parametrize(
    ("plain", "lower", "steadier"),
    [
        ((0.4, 0.5, 0.4, 0.5, 0.4, 0.5), "holds", "holds"),
        ((0.4, 0.41, 0.4, 0.35, 0.3, 0.29), "holds", "undecided"),
        ((0.4, 0.5, 0.4, 0.35, 0.3, 0.29), "holds", "undecided"),
        ((0.4, 0.15, 0.16, 0.13, 0.12, 0.11), "undecided", "undecided"),
        ((0.2, 0.15, 0.14, 0.11, 0.1, 0.09), "does not hold", "undecided"),
    ],
)
def test_the_loss_is_lower_at_every_epoch_and_steadier(plain, lower, steadier):
    found = made((0.3, 0.2, 0.15, 0.12, 0.11, 0.1), plain)
    assert is_lower_at_every_epoch(found).verdict == lower
    assert is_steadier(found).verdict == steadier


@pytest.mark.parametrize(("off", "verdict"), [(0.005, "holds"), (0.02, "does not hold")])
def test_the_course_s_table_is_met_or_not(off, verdict):
    losses, accuracies = (
        {arm: recorded(arm, "test", what, 10) for arm in ("bn", "plain")} for what in ("loss", "accuracy")
    )
    shifted = {arm: [value - off for value in values] for arm, values in accuracies.items()}
    assert is_what_was_recorded(made(losses["bn"], losses["plain"], shifted)).verdict == verdict
