"""What study files make figures, tables and numbers in words with."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from importlib.resources import files
from inspect import signature
from statistics import fmean, median, stdev
from typing import Any

from normwise.lab.panels import Panel
from normwise.lab.reproduction.outcome import Outcome
from normwise.report import Table

WIDE, NARROW = 7.2, 4.4
"""Inches: as wide as a figure is drawn for a page and a lecture, and for a narrow screen."""


def drawn(name: str, drawing: Any, info: Any, caption: str = "") -> Panel:
    """A figure of a study.

    Args:
        name: letters, digits and hyphens, unique in the study.
        drawing: a module of ``normwise.figures``: ``lines``, ``dots``, ``histograms``, ``curves``, …
        info: what its ``info`` returned.
        caption: what to see in it; the study's main figure has ``Study.see`` instead.
    """
    sized = "width" in signature(drawing.draw).parameters
    figure = drawing.draw(info, width=WIDE) if sized else drawing.draw(info)
    narrow = drawing.draw(info, width=NARROW) if sized else None
    said = drawing.title(info), caption, drawing.describe(info)
    stem = drawing.__name__.rpartition(".")[2]
    return Panel("Figures", name, *said, figure, drawing=stem, info=info, narrow=narrow)


def published(name: str) -> list[dict[str, float]]:
    """The rows of a digitized curve, ``published/<name>.csv``, as numbers by column."""
    text = files("normwise.lab.studies").joinpath("published", f"{name}.csv").read_text(encoding="utf-8")
    return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(text.splitlines())]


def spread(values: Sequence[float], digits: int = 1, *, percent: bool = False) -> str:
    """Mean and standard deviation over seeds: ``97.1 ± 0.2 %``; the mean alone of one value, a dash of none."""
    there = [value for value in values if math.isfinite(value)]
    if not there:
        return "\N{EN DASH}"
    factor, unit = (100, " %") if percent else (1, "")
    said = f"{factor * fmean(there):.{digits}f}"
    return f"{said} ± {factor * stdev(there):.{digits}f}{unit}" if len(there) > 1 else said + unit


def accuracy_table(outcome: Outcome, caption: str = "") -> Table:
    """A row per arm: test, validation and training metric at the best step, that step, and runs that diverged."""
    rows = []
    for arm, runs in outcome.runs.items():
        values = [outcome.at_best(arm, part) for part in ("test", "validation", "train")]
        percent = bool(runs) and runs[0].metric.percent
        steps = [run.best["step"] for run in runs if run.best is not None]
        best = f"{median(steps):,.0f}" if steps else "\N{EN DASH}"
        cells = [spread(each, 1 if percent else 3, percent=percent) for each in values]
        rows.append([arm, *cells, best, f"{outcome.diverged(arm)} of {len(runs)}"])
    said = caption or "Mean ± standard deviation over the seeds, at the best step by validation; median step."
    return Table(said, ["arm", "test", "validation", "train", "best step", "diverged"], rows)
