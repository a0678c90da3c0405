"""Outcomes of studies that were never run, for the tests of their claims."""

from __future__ import annotations

from pathlib import Path

from normwise.lab.reproduction.asked import Asked, Scale
from normwise.lab.reproduction.outcome import Outcome
from normwise.records import RunRecord
from normwise.records.metric import ACCURACY


def run(arm, seed=0, *, loss=(2.3, 0.1), accuracy=(0.1, 0.9), steps=None, status="finished", best=None, **settings):
    """A run that was measured as often as there are losses, at ``steps`` or 0, 1, 2, …; parts all have the same values.

    ``best`` is the accuracy of every part at the best step, by default the last.
    """
    steps = range(len(loss)) if steps is None else steps
    metrics = [
        {"step": step, **{part: {"loss": one, "accuracy": two} for part in ("train", "validation", "test")}}
        for step, one, two in zip(steps, loss, accuracy, strict=True)
    ]
    values = {"loss": loss[-1], "accuracy": accuracy[-1] if best is None else best}
    done = {
        "status": status, "step": metrics[-1]["step"], "reason": None,
        "best": {"step": metrics[-1]["step"], "train": values, "validation": values, "test": values},
    }  # fmt: skip
    return RunRecord(
        Path(f"{arm}-{seed}"), {"arm": arm, "seed": seed, "metric": ACCURACY._asdict(), **settings}, metrics, [], done
    )


def outcome(runs=None, measured=None, *, scale="quick", data=""):
    """An outcome of runs by arm and of results of measurements by name."""
    found = {arm: tuple(each) for arm, each in (runs or {}).items()}
    return Outcome(Asked(Scale(scale), data), found, {name: tuple(each) for name, each in (measured or {}).items()})
