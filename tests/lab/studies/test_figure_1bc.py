"""The measurement of figure-1bc against the lab's own training, and its claims against numbers that are known."""

import numpy as np
import pytest
import torch

from normwise.lab.data import load
from normwise.lab.inference import find_task
from normwise.lab.plan import planned
from normwise.lab.question import question
from normwise.lab.reproduction.context import Context
from normwise.lab.studies.figure_1a import ARMS, PAPER
from normwise.lab.studies.figure_1bc import (
    spread_grows,
    stays_near_zero,
    stays_near_zero_in_training,
    wanders_without,
)
from normwise.lab.studies.shared.unit_inputs import inputs
from normwise.lab.train import train
from normwise.records import RunRecord
from reproductions import outcome


def test_it_trains_as_figure_1a_does(tmp_path):
    """The lab's median of 32 training examples over the layer is near that of many test examples over the units."""
    options = PAPER | {"steps": 40, "eval_every": 20, "out": tmp_path}
    plan = planned(question("digits", options), [("bn", ARMS["bn"])], seeds=[0])
    train(plan.runs[0].job, plan.data)
    layer = RunRecord.read(plan.runs[0].job.directory, arm="bn").metrics[-1]["preactivations"][-1]
    torch.manual_seed(0)
    data = find_task(load("digits"), {}, {})[1]
    found = inputs(Context(0, torch.device("cpu"), data), "batch", 40, 20)
    assert found["steps"] == [20, 40]
    assert np.shape(found["p50"]) == (2, 100)
    assert np.mean(found["p50"][-1]) == pytest.approx(layer["p50"], abs=0.1)


def made(bn, plain, *, width=1.0):
    """Three units that have these medians, by step, and 15th and 85th percentiles that far around them, and growing."""
    steps = [1000, 5000, 10_000]

    def measured(medians, widths):
        rows = {"p50": medians, "p15": np.subtract(medians, widths), "p85": np.add(medians, widths)}
        rows["p50_in_training"] = np.multiply(medians, 0.5)
        return {"steps": steps, **{name: [[value] * 3 for value in row] for name, row in rows.items()}}

    found = {"bn": [measured(bn, [1, 1 + width, 1 + 2 * width])], "plain": [measured(plain, [0.01, 0.5, 1])]}
    return outcome(measured=found)


@pytest.mark.parametrize(
    ("bn", "plain", "near", "in_training", "wanders"),
    [
        ((0, 0.1, -0.1), (0.8, -0.2, 1), "holds", "holds", "holds"),
        ((0, 0.3, 0), (0.8, 0.7, 1), "does not hold", "holds", "does not hold"),
        ((0, 0.5, 0), (0.8, -0.7, 1), "does not hold", "does not hold", "holds"),
    ],
)
def test_medians_decide(bn, plain, near, in_training, wanders):
    found = made(bn, plain)
    assert stays_near_zero(found).verdict == near
    assert stays_near_zero_in_training(found).verdict == in_training
    assert wanders_without(found).verdict == wanders


@pytest.mark.parametrize(("width", "verdict"), [(0.5, "holds"), (-0.2, "does not hold")])
def test_the_spread_has_to_grow(width, verdict):
    assert spread_grows(made((0, 0, 0), (0, 0, 0), width=width)).verdict == verdict
