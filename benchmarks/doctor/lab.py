"""Training a setup in the lab, once per seed, and what came of it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.doctor import losses
from benchmarks.doctor.case import Setup

LAST = 3
"""Evaluations at the end that a value ``judged_at`` ``end`` or ``validation`` is the mean of."""


class Trained(NamedTuple):
    """What came of one run.

    Attributes:
        seed: of the run.
        value: the metric that the case is judged by; None where the run diverged.
        status: ``finished`` or ``diverged``.
        record: what it left.
    """

    seed: int
    value: float | None
    status: str
    record: Any


def options(setup: Setup) -> dict[str, Any]:
    """The setup's options, with its loss and its metric as functions where they are in ``losses``, and its model."""
    asked = dict(setup.options)
    for what in ("loss", "metric"):
        asked[what] = getattr(losses, str(asked.get(what)), asked.get(what))
    return {"model": setup.model, **asked}


@contextmanager
def folder() -> Iterator[Path]:
    """A directory that is removed in the end."""
    path = Path(tempfile.mkdtemp(prefix="doctor-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def planned(setup: Setup, out: Path, seeds: int, **more: Any) -> Any:
    """The lab's plan of one arm: the setup as it is."""
    from normwise.lab.plan import plan

    asked = {**options(setup), "seeds": seeds, "out": str(out), "workers": 0, **more}
    return plan(("given: norm=none",), setup.data, asked)


def record(directory: Path) -> Any:
    """What a run left."""
    from normwise.records import RunRecord

    return RunRecord.read(directory, arm=directory.name)


def records(out: Path, arm: str) -> list[Any]:
    """Those of an arm in a study's directory, by their seeds."""
    found = [record(path) for path in out.glob(f"{arm}-*") if path.is_dir()]
    return sorted(found, key=lambda each: each.settings["seed"])


def value(record: Any, judged_at: str) -> float | None:
    """The metric of a run that its case is judged by; None where it diverged."""
    if (record.done or {}).get("status") != "finished":
        return None
    if judged_at == "best":
        return record.best["train"][record.metric.name] if record.best else None
    part = "validation" if judged_at == "validation" else "train"
    last = [line[part][record.metric.name] for line in record.metrics[-LAST:]]
    return None if None in last else sum(last) / len(last)


def trained(setup: Setup, seeds: int, judged_at: str = "best", **more: Any) -> list[Trained]:
    """Train once per seed."""
    from normwise.lab.train import train

    found = []
    with folder() as out:
        plan = planned(setup, out, seeds, **more)
        for run in plan.runs:
            train(run.job, plan.data)
            record = run.record()
            found.append(Trained(run.job.settings.seed, value(record, judged_at), record.done["status"], record))
    return found
