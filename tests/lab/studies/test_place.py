"""The claims of place against numbers that are known."""

import pytest

from normwise.lab.studies.place import NETWORKS, after_is_better_with_relu, before_is_better_with_sigmoid, both_help
from reproductions import outcome, run


def made(none, before, after):
    """An outcome in which all networks have these test accuracies, one a seed."""
    values = {"none": none, "before": before, "after": after}
    arms = {f"{network}: {place}": each for network in NETWORKS for place, each in values.items()}
    return outcome({arm: [run(arm, seed, best=best) for seed, best in enumerate(each)] for arm, each in arms.items()})


@pytest.mark.parametrize(
    ("before", "after", "paper", "caffenet"),
    [
        ((0.95, 0.951), (0.93, 0.931), "holds", "does not hold"),
        ((0.93, 0.931), (0.95, 0.951), "does not hold", "holds"),
        ((0.93, 0.95), (0.935, 0.95), "undecided", "undecided"),
        ((0.95,), (0.93,), "undecided", "undecided"),
    ],
)
def test_the_better_place_is_decided_beyond_seed_noise(before, after, paper, caffenet):
    found = made(before, before, after)
    assert before_is_better_with_sigmoid(found).verdict == paper
    assert after_is_better_with_relu(found).verdict == caffenet


@pytest.mark.parametrize(
    ("none", "verdict"), [((0.9, 0.901), "holds"), ((0.95, 0.951), "undecided"), ((0.97, 0.971), "does not hold")]
)
def test_both_places_must_beat_none(none, verdict):
    assert both_help(made(none, (0.95, 0.951), (0.95, 0.951))).verdict == verdict
