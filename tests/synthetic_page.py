"""A page as a comparison would make it, from synthetic records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from normwise.figures import activations, curves, gradients, preactivations, svg, sweep
from normwise.figures.series import by_arm
from normwise.lab.page import page_arms
from normwise.records import RunRecord
from normwise.records.run import PREDICTIONS
from normwise.report import Group, Page, PageFigure, Section, Table
from synthetic import record, study

VERDICT = (
    "bn reached 91.0 %, plain's best mean validation accuracy, in 5.2 times fewer steps (3.1 to 7 over pairs of seeds)."
)


def full_page(arms: Sequence[str] = ("plain", "bn", "hot")) -> Page:
    runs = [*study(arms[:-1]), *(record(arms[-1], seed, lr=5.0, diverged=900 + 300 * seed) for seed in range(3))]
    columns = ["arm", "lr", "test accuracy", "steps to target", "never", "gap", "gradient", "seconds", "diverged"]
    rows = [[arm, "0.2", "94.6 ± 0.5 %", "1,560", "0 of 3", "+4.1", "0.018", "6.1", "0 of 3"] for arm in arms]
    return Page(
        title=f"{' against '.join(arms)} on digits",
        verdict=VERDICT,
        ranking=[f"{arms[1]} has the best validation accuracy, 97.1 %.", f"{arms[-1]} did not learn."],
        subtitle="3 seeds of 5,000 steps each",
        notes=[f"{arms[-1]}: 3 of 3 runs diverged."],
        tables=[Table("Each arm at its best learning rate", columns, rows)],
        groups=list(groups(runs)),
        arms=page_arms([*arms, "failed"], runs),
        examples=1200,
        facts=[Section("Settings", [("data", "digits"), ("directory", "/home/someone/" + "very-long-name" * 9)])],
        command="normwise compare --model a/very/long/path/to/train.py:make_model --out " + "x" * 90,
    )


def groups(runs: Sequence[RunRecord]):
    training = [
        _figure("accuracy", curves, curves.info(runs)),
        _figure("loss", curves, curves.info(runs, "loss")),
        _figure("learning-rate", sweep, sweep.info(runs, "lr")),
    ]
    inside = []
    for place, members in enumerate(by_arm(runs).values()):
        shown = [
            (preactivations, preactivations.info(members, place=place)),
            (gradients, gradients.info(members, place=place)),
            (activations, activations.info(members, place=place)),
        ]
        inside += [
            _figure(f"{module.__name__.rpartition('.')[2]}-{place}", module, info, place) for module, info in shown
        ]
    yield Group("Training", training, "One caption for three figures.")
    yield Group("Inside", inside, "What happens inside.")


def _figure(name: str, module: Any, info: Any, place: int | None = None) -> PageFigure:
    chart = module.chart(info) if hasattr(module, "chart") else None
    drawn = svg(module.draw(info), name)
    return PageFigure(name, module.title(info), module.describe(info), drawn, "A caption.", place, chart)


def found(records: Sequence[RunRecord], chance: float | None = None, **options: Any) -> Any:
    """What ``panels`` reads of the results of a comparison."""
    arms = [SimpleNamespace(name=name) for name in by_arm(records)]
    task = SimpleNamespace(classes=(), chance=None if chance is None else SimpleNamespace(value=chance))
    options = {"swept": None, "task": task, **options}
    return SimpleNamespace(arms=arms, records=list(records), best_records=list(records), **options)


def with_outputs(run: RunRecord, folder: Path, outputs: np.ndarray, targets: np.ndarray) -> RunRecord:
    """The run with outputs and targets of the test part in a directory of its own."""
    directory = folder / f"{len(list(folder.iterdir()))}"
    directory.mkdir()
    tensors = {"outputs": outputs, "targets": targets}
    save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, directory / PREDICTIONS)
    return RunRecord(directory, run.settings, run.metrics, run.timing, run.done)
