"""The report of a study that still runs."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from typing import Any

from normwise.figures import curves
from normwise.figures.quantities import Name
from normwise.figures.series import by_arm, number
from normwise.lab.captions import TRAINING, caption
from normwise.lab.page import page_arms
from normwise.lab.plan import Plan
from normwise.lab.status import Status
from normwise.records import RunRecord
from normwise.records.metric import LOSS
from normwise.records.study import REPORT
from normwise.report import Group, Page, PageFigure
from normwise.report import write as write_page

SECONDS = 10.0


class ProgressReport:
    """Keeps ``report.html`` up to date while a study runs; called with each status, it writes every ten seconds.

    The report has the curves so far, and neither verdict nor pictures: a page's script draws them, so that writing it
    takes milliseconds.
    """

    def __init__(self, planned: Plan, seconds: float = SECONDS) -> None:
        self._plan = planned
        self._seconds = seconds
        self._written = time.monotonic()

    def __call__(self, status: Status) -> None:
        """Write the report if the last one is old enough."""
        if time.monotonic() - self._written < self._seconds:
            return
        write_progress(self._plan, status, [run.record() for run in self._plan.runs])
        self._written = time.monotonic()


def write_progress(planned: Plan, status: Status, records: Sequence[RunRecord]) -> None:
    """Write the report of a study that still runs.

    Args:
        planned: the study.
        status: how far it has come.
        records: those of all its runs; runs that have not begun have no lines.
    """
    names = [arm.name for arm in planned.arms]
    begun = _best_so_far([run for run in records if run.metrics], planned.swept)
    quantities: list[Name] = ["metric", "loss"] if begun and begun[0].metric != LOSS else ["loss"]
    chance = planned.task.chance.value if planned.task.chance else None
    figures = [_figure(begun, name, names, chance) for name in quantities if begun]
    examples = planned.study.get("examples")
    said = caption(TRAINING, begun, examples) if begun else ""
    shown = Page(
        title=f"{', '.join(names)} on {planned.study['data']}",
        verdict="",
        progress=words(status),
        groups=[Group(TRAINING, figures, said)] if figures else [],
        arms=page_arms(names, begun),
        examples=examples,
        command=planned.study["command"],
    )
    write_page(shown, planned.out / REPORT)


def words(status: Status) -> str:
    """How far a study has come, in words: ``12 of 30 runs ended; 41 % of the steps``."""
    share = 100 * status.steps_done // max(status.steps, 1)
    return f"Running: {status.runs_done} of {status.runs} runs ended; {share} % of the steps."


def _best_so_far(runs: Sequence[RunRecord], swept: str | None) -> list[RunRecord]:
    """Of each arm the runs at the learning rate, and the value of the swept key, with the best metric so far."""
    found = []
    for members in by_arm(runs).values():
        points: dict[tuple[Any, Any], list[RunRecord]] = {}
        for run in members:
            points.setdefault((run.settings["lr"], run.settings.get(swept or "")), []).append(run)
        found += max(points.values(), key=_score)
    return found


def _score(runs: Iterable[RunRecord]) -> float:
    """The best metric of any evaluation, signed so that larger is better."""
    scores = (run.metric.score(number(line["validation"][run.metric.name])) for run in runs for line in run.metrics)
    return max((score for score in scores if math.isfinite(score)), default=-math.inf)


def _figure(runs: Sequence[RunRecord], name: Name, arms: Sequence[str], chance: float | None) -> PageFigure:
    info = curves.info(runs, name, arms, chance)
    return PageFigure(name, curves.title(info), curves.describe(info), "", chart=curves.chart(info))
