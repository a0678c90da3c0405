"""The paths against their formula, and the claims against numbers that are known."""

import pytest
import torch

from normwise.lab.reproduction.context import Context
from normwise.lab.studies.optimizers import is_lower_than_sgd, paths, sgd_zigzags
from reproductions import outcome, run


def trained(arm, ends):
    """Runs that end at these batch losses, one a seed."""
    runs = [run(arm, seed) for seed in range(len(ends))]
    for each, end in zip(runs, ends, strict=True):
        each.metrics[0]["batch_loss"], each.metrics[1]["batch_loss"] = None, end
    return runs


def test_the_paths_are_those_of_the_update_rules():
    found = paths(Context(0, torch.device("cpu")))
    assert found["SGD"][30] == pytest.approx([-7 * 0.905**30, 2 * 0.9**30], rel=1e-4)
    assert found["momentum"][2] == pytest.approx([-7 + 0.07 + 0.9 * 0.07 + 0.0693, 2 - 0.4 - 0.9 * 0.4 - 0.32])
    assert found["AdaGrad"][1] == pytest.approx([-5.5, 0.5])
    assert found["Adam"][1] == pytest.approx([-6.7, 1.7])


@pytest.mark.parametrize(("sign", "verdict"), [(-1, "holds"), (1, "does not hold")])
def test_a_zigzag_crosses_the_floor(sign, verdict):
    straight = [[0.0, 1.0]] * 31
    sgd = [[0.0, float(sign**step)] for step in range(31)]
    measured = {"SGD": sgd, "momentum": straight, "AdaGrad": straight, "Adam": straight}
    assert sgd_zigzags(outcome(measured={"paths": [measured]})).verdict == verdict


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [((0.1, 0.11), "holds"), ((0.4, 0.41), "does not hold"), ((0.1, 0.5), "undecided"), ((0.1,), "undecided")],
)
def test_a_loss_is_lower_only_by_more_than_noise(ends, verdict):
    found = outcome({"SGD": trained("SGD", (0.3,) * len(ends)), "Adam": trained("Adam", ends)})
    assert is_lower_than_sgd(found, "Adam").verdict == verdict
