"""No claim, table or figure raises where runs diverged, or where there is a single seed."""

import dataclasses

import pytest
import torch

from normwise.lab.reproduction.asked import Asked, Scale
from normwise.lab.reproduction.catalogue import study
from normwise.lab.reproduction.context import Context
from normwise.lab.reproduction.study import Training
from normwise.lab.studies.batch_size import memory
from normwise.lab.studies.optimizers import paths
from reproductions import outcome, run

NAMES = (
    "figure-1a", "lab-09-4", "note-001", "learning-rate", "saturation", "input-scaling", "batch-size", "weight-init",
    "optimizers", "vanishing-gradient", "exploding-gradient",
)  # fmt: skip

HIDDEN = [{"layer": f"activation{at}", "saturated": 0.1} for at in (1, 2, 3)]


def made(arm, seed, rate, diverged):
    """A run of four measurements, or one that diverged at once, whose first measurement was not finite."""
    if diverged:
        one = run(arm, seed, loss=(None,), accuracy=(None,), status="diverged", lr=rate, steps=[0])
        one = dataclasses.replace(one, done={**one.done, "best": None})
    else:
        one = run(arm, seed, loss=(2.3, 0.5, 0.4, 0.1), accuracy=(0.1, 0.8, 0.9, 0.95), lr=rate)
    for line in one.metrics:
        line |= {"batch_loss": line["train"]["loss"], "preactivations": HIDDEN}
        for part in ("train", "validation", "test"):
            line[part]["r2"] = line[part]["accuracy"]
    one.timing.extend({"step": line["step"], "train": 0.1} for line in one.metrics)
    one.settings["steps"] = 3
    return one


def measured(name, arms):
    """What the study's measurements would have found."""
    layers = {arm: [0.5, 1.0] for arm in arms}
    everything = {f"{activation}, {init}": [0.5, 1.0] for activation in ("sigmoid", "tanh", "relu")
                  for init in ("normal:0.01", "lecun", "he", "normal:0.3")}  # fmt: skip
    growing = dict.fromkeys(("bn, std 0.01", "bn, He", "bn, std 1", "plain, He"), [1.0] * 14)
    context = Context(0, torch.device("cpu"))
    return {
        "batch-size": lambda: {"memory": [memory(context, [1000, 5000], 784)]},
        "optimizers": lambda: {"paths": [paths(context)]},
        "vanishing-gradient": lambda: {"gradients": [layers] * 2, "grid": [everything]},
        "exploding-gradient": lambda: {"gradients": [layers] * 2, "grid": [everything], "growth": [growing]},
    }.get(name, dict)()


@pytest.mark.parametrize("name", NAMES)
def test_a_run_that_diverged_at_once_breaks_nothing(name):
    one = study(name)
    trainings = [trial for trial in one.plan(Asked(Scale("smoke"), one.data)) if isinstance(trial, Training)]
    rates = {arm: keys.get("lr", training.options.get("lr", 0.1)) for training in trainings
             for arm, keys in training.arms.items()}  # fmt: skip
    found_besides = measured(name, rates)
    for lost, seeds in [(arm, 2) for arm in (*list(rates)[:2], list(rates)[-1])] + [("all", 1), ("none", 1)]:
        runs = {
            arm: [made(arm, seed, each, lost == "all" or (arm == lost and seed == 0)) for seed in range(seeds)
                  for each in (rate if isinstance(rate, tuple) else (rate,))]
            for arm, rate in rates.items()
        }  # fmt: skip
        found = outcome(runs, found_besides, scale="smoke", data=one.data)
        assert all(claim.judge(found).words for claim in one.claims)
        assert one.table(found).columns
        assert lost not in (next(iter(rates)), "all") or one.figures(found)  # drawing takes the time
