"""The claims of population-statistics against numbers that are known, and its counts against a loop."""

import pytest
import torch

from normwise.lab.studies.population_statistics import (
    answers_are_independent,
    own_wins_where_small,
    population_beats_moving,
)
from normwise.lab.studies.shared.evaluation_statistics import MOVING, OWN, PAPER, POOLED, evaluated, network
from reproductions import outcome


def made(small, large, changed=(3, 0)):
    """Two seeds with these errors by way in batches of 2 and 64, and answers that change: own and in evaluation."""

    def found(errors):
        return {
            "ways": {way: {"error": each, "changed": changed[way != OWN]} for way, each in errors.items()},
            "images": 1024,
        }

    measured = {"2": [found(each) for each in small], "64": [found(each) for each in large]}
    return outcome(measured=measured)


def errors(own, population, moving=0.5):
    return {OWN: own, POOLED: population, MOVING: moving, PAPER: 0.5}


@pytest.mark.parametrize(
    ("small", "large", "own_wins", "population_wins"),
    [
        ([errors(0.3, 0.4)] * 2, [errors(0.03, 0.02)] * 2, "holds", "holds"),
        ([errors(0.5, 0.4)] * 2, [errors(0.03, 0.02)] * 2, "does not hold", "holds"),
        ([errors(0.3, 0.6)] * 2, [errors(0.03, 0.02), errors(0.02, 0.03)], "undecided", "does not hold"),
    ],
)
def test_the_better_statistics_are_found(small, large, own_wins, population_wins):
    assert own_wins_where_small(made(small, large)).verdict == own_wins
    assert population_beats_moving(made(small, large)).verdict == population_wins


@pytest.mark.parametrize(
    ("changed", "verdict"), [((3, 0), "holds"), ((3, 1), "does not hold"), ((0, 0), "does not hold")]
)
def test_one_answer_that_changes_in_evaluation_is_one_too_many(changed, verdict):
    one = [errors(0.3, 0.4)]
    assert answers_are_independent(made(one, one, changed)).verdict == verdict


def test_errors_are_those_of_a_loop_and_no_state_is_left_of_the_batch():
    net, X = network(6), torch.randn(256, 6)
    y = torch.randint(10, (256,))
    net(X)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    found = evaluated(net, X, X, y, 256)
    assert all(each["changed"] == 0 for way, each in found["ways"].items() if way != OWN)
    for way, tracked in ((MOVING, before), (POOLED, net.state_dict())):
        other = network(6).eval()
        other.load_state_dict(tracked)
        assert found["ways"][way]["error"] == (other(X).argmax(1) != y).double().mean().item()
    assert found["ways"][OWN]["error"] == found["by_size"]["256"]
