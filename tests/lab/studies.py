"""Small runs for the tests of training, processes and comparison, and runs that were never made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from normwise.lab.arms import Arm
from normwise.lab.data import Data, Part
from normwise.lab.findings import Findings
from normwise.lab.job import Job
from normwise.lab.plan import Plan, plan
from normwise.records import RunRecord


def small(out: Path, *arms: str, **options) -> Plan:
    """A comparison of few steps on the digits."""
    return plan(arms or ("plain", "bn"), "digits", {"steps": 40, "seeds": 1, "eval_every": 10, "out": out, **options})


def of_parts(out: Path, arm: str, data: Data, **options) -> Plan:
    """A comparison of few steps on data that are at hand."""
    given = {"batch_size": 20, "steps": 40, "seeds": 1, "eval_every": 10, "out": out, **options}
    return plan((arm,), lambda: tuple((part.X, part.y) for part in (data.train, data.validation, data.test)), given)


def parts(*labels: Sequence[int], classes: int = 2) -> Data:
    """Train, validation and test with the given labels, of three features each.

    The first feature numbers the examples, over all parts; the others have another range in each part.
    """
    first, made = 0, []
    for place, y in enumerate(labels):
        number = np.arange(first, first := first + len(y))
        X = np.random.default_rng(place).normal(3 * place, 1 + 4 * place, (len(y), 3))
        made.append(Part(np.c_[number, X[:, 1:]].astype(np.float32), np.asarray(y, dtype=np.int64)))
    return Data("parts", *made, classes, "0" * 16)


def record(validation, *, arm="plain", seed=0, lr=0.2, status="finished", every=10):
    """A run with the given validation accuracies v, one every ``every`` steps.

    Test accuracy is 1 − v, and training accuracy rises by 0.1 each time, so that a part taken for another shows.
    """
    metrics = [
        {
            "step": index * every,
            "train": {"accuracy": (index + 1) / 10},
            "validation": {"accuracy": value},
            "test": {"accuracy": 1 - value},
            "gradients": [{"layer": "linear1", "norm": 0.5 + index}, {"layer": "output", "norm": 2.0}],
        }
        for index, value in enumerate(validation)
    ]
    timing = [{"step": line["step"], "seconds": 2.0 * (index + 1), "train": 1.5} for index, line in enumerate(metrics)]
    done = {"status": status, "step": metrics[-1]["step"] if metrics else 0, "reason": None}
    settings = {"arm": arm, "seed": seed, "lr": lr, "steps": 30}
    return RunRecord(Path(), settings, metrics, timing, done)


def findings(records: Sequence[RunRecord], data: Data | None = None) -> Findings:
    """What a comparison would find that had left these records, its arms in order of first appearance."""
    rates: dict[str, list[float]] = {}
    for one in records:
        known = rates.setdefault(one.settings["arm"], [])
        known += [] if one.settings["lr"] in known else [one.settings["lr"]]
    arms = [Arm(name, {"norm": "none" if name == "plain" else "batch"}, tuple(lrs)) for name, lrs in rates.items()]
    runs = [
        SimpleNamespace(arm=one.settings["arm"], job=Job(one.directory, one.settings), record=lambda one=one: one)
        for one in records
    ]
    data = data or parts([0, 1] * 50, [0, 1] * 50, [0, 1] * 50)
    study = {"data": data.name, "model": "mlp", "notes": [], "versions": {}, "machine": {}, "command": ""}
    return Findings(Plan(Path("study"), arms, runs, data, 0, study))
