"""The treatments as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence

from normwise.doctor import written
from normwise.doctor.treatment import Treatment
from normwise.records.metric import Metric
from normwise.report import Table


def ordered(treatments: Sequence[Treatment], metric: Metric) -> list[Treatment]:
    """``nothing`` first, then the best first; those that were dropped last."""

    def key(treatment: Treatment) -> tuple[bool, bool, float]:
        score = math.inf if treatment.mean is None else -metric.score(treatment.mean)
        return treatment.name != "nothing", bool(treatment.dropped), score

    return sorted(treatments, key=key)


def table(treatments: Sequence[Treatment], metric: Metric, chosen: str | None) -> Table:
    """A row per treatment; ``chosen`` is the name of the one that is recommended."""
    rows = [
        [
            each.name,
            _changes(each),
            _verdict(each) + ", recommended" * (each.name == chosen),
            _mean(each, metric),
            _gain(each, metric),
        ]
        for each in treatments
    ]
    caption = (
        f"Validation {metric.label}: mean ± standard deviation over the seeds. Gain: how much better than nothing, "
    )
    caption += "with its 95 % interval, widened for the number of treatments. Random: a remedy drawn for each seed."
    units = (", %", ", points") if metric.percent else ("", "")
    columns = ["treatment", "changes", "verdict", f"validation {metric.label}{units[0]}", f"gain{units[1]}"]
    return Table(caption, columns, rows, 3)


def _changes(treatment: Treatment) -> str:
    if treatment.name == "random":
        return ", ".join(dict.fromkeys(run.remedy for run in treatment.runs if run.remedy)) or "–"
    return ", ".join(f"{key} = {written.value(value)}" for key, value in treatment.settings.items()) or "–"


def _mean(treatment: Treatment, metric: Metric) -> str:
    if treatment.mean is None:
        return "–"
    return _number(treatment.mean, metric) + (
        "" if treatment.std is None else f" ± {_number(treatment.std, metric, 2)}"
    )


def _number(value: float, metric: Metric, digits: int = 3) -> str:
    """A value without its unit, which is in the column's head."""
    return f"{100 * value:.1f}" if metric.percent else f"{value:.{digits}g}"


def _gain(treatment: Treatment, metric: Metric) -> str:
    if treatment.gain is None or treatment.name == "nothing":
        return "–"
    said = f"{100 * treatment.gain:+.1f}" if metric.percent else f"{treatment.gain:+.2g}"
    return said + ("" if treatment.margin is None else f" ± {_number(treatment.margin, metric, 2)}")


def _verdict(treatment: Treatment) -> str:
    diverged = sum(run.status == "diverged" for run in treatment.runs)
    ended = f", {diverged} of {len(treatment.runs)} diverged" if diverged else ""
    if treatment.name == "nothing":
        return f"as given{ended}"
    if treatment.dropped:
        return "dropped after one seed"
    if treatment.helped:
        return f"helped{ended}"
    if treatment.gain is None or treatment.margin is None:
        return f"not compared{ended}"
    return ("worse" if treatment.gain < -treatment.margin else "within noise") + ended
