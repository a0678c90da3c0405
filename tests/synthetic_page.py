"""A page as a comparison would make it, from synthetic records."""

from __future__ import annotations

from collections.abc import Sequence

from normwise.figures import activations, curves, gradients, learning_rate, preactivations, svg
from normwise.figures.series import by_arm
from normwise.records import RunRecord
from normwise.report import Page, PageFigure, Section, Table
from synthetic import record, study

VERDICT = "bn reached plain's best validation accuracy in 5.2 times fewer steps (3.1 to 7 over pairs of seeds)."


def full_page(arms: Sequence[str] = ("plain", "bn", "hot")) -> Page:
    runs = [*study(arms[:-1]), *(record(arms[-1], seed, lr=5.0, diverged=900 + 300 * seed) for seed in range(3))]
    columns = ["arm", "lr", "test accuracy", "steps to target", "never", "gap", "gradient", "seconds", "diverged"]
    rows = [[arm, "0.2", "94.6 ± 0.5 %", "1,560", "0 of 3", "+4.1", "0.018", "6.1", "0 of 3"] for arm in arms]
    return Page(
        title=f"{' against '.join(arms)} on digits",
        verdict=VERDICT,
        subtitle="3 seeds of 5,000 steps each",
        notes=[f"{arms[-1]}: 3 of 3 runs diverged."],
        tables=[Table("Each arm at its best learning rate", columns, rows)],
        figures=list(figures(runs)),
        facts=[Section("Settings", [("data", "digits"), ("directory", "/home/someone/" + "very-long-name" * 9)])],
        command="normwise compare --model a/very/long/path/to/train.py:make_model --out " + "x" * 90,
    )


def figures(runs: Sequence[RunRecord]):
    yield _figure("accuracy", curves, curves.info(runs), "Training")
    yield _figure("loss", curves, curves.info(runs, "loss"), "Training")
    yield _figure("learning-rate", learning_rate, learning_rate.info(runs), "Training")
    for place, members in enumerate(by_arm(runs).values()):
        yield _figure(f"preactivations-{place}", preactivations, preactivations.info(members, place=place), "Inside")
        yield _figure(f"gradients-{place}", gradients, gradients.info(members), "Inside")
        yield _figure(f"activations-{place}", activations, activations.info(members, place=place), "Inside")


def _figure(name, module, info, group) -> PageFigure:
    return PageFigure(
        name, module.title(info), "A caption.", module.describe(info), svg(module.draw(info), name), group
    )
