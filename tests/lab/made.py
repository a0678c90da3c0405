"""Small runs for the tests of training, processes and comparison, and runs that were never made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from normwise.lab.arms import Arm, Point
from normwise.lab.data import Data, Part
from normwise.lab.plan import Plan, plan
from normwise.lab.results import Results
from normwise.lab.settings import Keys
from normwise.lab.summary import point_of
from normwise.lab.task import Chance, Task
from normwise.records import RunRecord
from normwise.records.metric import ACCURACY


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
    return Data("parts", *made, kind="classification", fingerprint="0" * 16, n_outputs=classes)


ACCURATE = Task("classification", "cross_entropy", ACCURACY, 10, Chance(0.1, 0.02))


def record(validation, *, arm="plain", seed=0, lr=0.2, status="finished", metric=ACCURACY, every=10, **settings):
    """A run with the given validation scores v, one every ``every`` steps.

    A metric of which lower is better has each value negated. On whole parts, at the best step, validation is v − 0.05
    and test is 1 − v; on the samples, test is v / 2; training rises by 0.1 each time, and on its sample by 0.01: so
    that a part taken for another, or a sample for the whole, shows. One that is ``running`` has not ended.
    """
    metrics = [
        {
            "step": index * every,
            **_parts(metric, train=(index + 1) / 100, validation=value, test=None if value is None else value / 2),
            "gradients": [{"layer": "linear1", "norm": 0.5 + index}, {"layer": "output", "norm": 2.0}],
        }
        for index, value in enumerate(validation)
    ]
    timing = [{"step": line["step"], "seconds": 2.0 * (index + 1), "train": 1.5} for index, line in enumerate(metrics)]
    last = metrics[-1]["step"] if metrics else 0
    done = {"status": status, "step": last, "reason": None, "best": _best(validation, metric, every)}
    done = None if status == "running" else done
    given = {"arm": arm, "seed": seed, "lr": lr, "metric": metric._asdict(), **settings}
    return RunRecord(Path(), given, metrics, timing, done)


def _best(validation, metric, every):
    finite = [value for value in validation if value is not None]
    if not finite:
        return None
    index = validation.index(max(finite))
    parts = _parts(metric, train=(index + 1) / 10, validation=max(finite) - 0.05, test=1 - max(finite))
    return {"step": index * every, **parts}


def _parts(metric, **scores):
    return {part: {metric.name: None if value is None else metric.score(value)} for part, value in scores.items()}


def results(
    records: Sequence[RunRecord],
    task: Task = ACCURATE,
    *,
    baseline: str | None = None,
    swept: str | None = None,
    steps: int = 30,
) -> Results:
    """What a comparison would find that had left these records, its arms in order of first appearance.

    Every arm but ``plain`` has batch normalization. The baseline is the first unless another is given. Runs whose
    settings have no ``steps`` were given ``steps``.
    """
    points: dict[str, list[Point]] = {}
    for one in records:
        known = points.setdefault(one.settings["arm"], [])
        point = point_of(one, swept)
        known += [] if point in known else [point]
    arms = [
        Arm(name, Keys(norm="none" if name == "plain" else "batch"), tuple(each), swept)
        for name, each in points.items()
    ]
    runs = [
        SimpleNamespace(
            arm=one.settings["arm"],
            point=point_of(one, swept),
            job=SimpleNamespace(settings=SimpleNamespace(steps=one.settings.get("steps", steps)), own={}),
            record=lambda one=one: one,
        )
        for one in records
    ]
    study = {"data": "parts", "model": "mlp", "notes": [], "versions": {}, "machine": {}, "command": ""}
    return Results(Plan(Path("study"), arms, runs, None, 0, study, task, baseline or arms[0].name, swept))


def mixed(**options) -> Results:
    """Two arms at rates of their own, some runs of which finished, one diverged and one failed."""
    return results([
        record([0.5, 0.7, 0.8]),
        record([0.5, 0.9, 0.7], seed=1),
        record([0.5, 0.6, 0.7], arm="bn", lr=0.5),
        record([0.5, 0.85, 0.9], arm="bn", lr=0.5, seed=1),
        record([0.5, 0.55], arm="bn", lr=0.5, seed=2, status="diverged"),
        record([], arm="bn", lr=0.5, seed=3, status="failed"),
    ], **options)  # fmt: skip
