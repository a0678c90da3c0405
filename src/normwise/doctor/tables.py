"""The treatments as a table: in a terminal, and in the report."""

from __future__ import annotations

import math
from collections.abc import Sequence

from normwise.doctor import written
from normwise.doctor.gains import NOTHING, RANDOM
from normwise.doctor.treatment import Treatment
from normwise.records.metric import Metric
from normwise.report import Table


def ordered(treatments: Sequence[Treatment], metric: Metric) -> list[Treatment]:
    """``nothing`` first, then the best first; those that were dropped last."""

    def key(treatment: Treatment) -> tuple[bool, bool, float]:
        score = math.inf if treatment.mean is None else -metric.score(treatment.mean)
        return treatment.name != NOTHING, bool(treatment.dropped), score

    return sorted(treatments, key=key)


def in_terminal(treatments: Sequence[Treatment], metric: Metric) -> tuple[list[str], list[list[str]]]:
    """The columns, and a row per treatment, with units."""
    columns = ["treatment", f"validation {metric.label}", "gain", "helped"]
    return columns, [_row(each, metric) for each in ordered(treatments, metric)]


def _row(one: Treatment, metric: Metric) -> list[str]:
    mean, _, remark = one.write(metric).partition(" (")
    mean += ("" if one.std is None else f" ± {_number(one.std, metric, 2)}") + (f" ({remark}" if remark else "")
    if one.name == NOTHING:
        return [one.name, mean, "", ""]
    return [one.name, mean, _with_unit(one, metric), "yes" if one.helped else "one seed" if one.dropped else "no"]


def _with_unit(one: Treatment, metric: Metric) -> str:
    if one.gain is None:
        return "–"
    if one.margin is None:
        return metric.write_difference(one.gain)
    return metric.write_interval(one.gain, one.margin)


def in_report(treatments: Sequence[Treatment], metric: Metric, chosen: str | None) -> Table:
    """A row per treatment, the units in the columns' heads.

    Args:
        treatments: in the order of the rows.
        metric: of the task.
        chosen: the name of the one that is recommended.
    """
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
        "with its 95 % interval, widened for the number of treatments; in it a run that is worse than guessing, or "
        "diverged without a value, counts as guessing. Random: a remedy drawn for each seed."
    )
    units = (", %", ", points") if metric.percent else ("", "")
    columns = ["treatment", "changes", "verdict", f"validation {metric.label}{units[0]}", f"gain{units[1]}"]
    return Table(caption, columns, rows, 3)


def _changes(treatment: Treatment) -> str:
    if treatment.name == RANDOM:
        return ", ".join(dict.fromkeys(run.remedy for run in treatment.runs if run.remedy)) or "–"
    return ", ".join(f"{key} = {written.value(value)}" for key, value in treatment.settings.items()) or "–"


def _mean(treatment: Treatment, metric: Metric) -> str:
    if treatment.mean is None:
        return "–"
    std = "" if treatment.std is None else f" ± {_number(treatment.std, metric, 2)}"
    return _number(treatment.mean, metric) + std


def _number(value: float, metric: Metric, digits: int = 3) -> str:
    """A value without its unit."""
    return f"{100 * value:.1f}" if metric.percent else f"{value:.{digits}g}"


def _gain(treatment: Treatment, metric: Metric) -> str:
    if treatment.gain is None or treatment.name == NOTHING:
        return "–"
    said = f"{100 * treatment.gain:+.1f}" if metric.percent else f"{treatment.gain:+.2g}"
    return said + ("" if treatment.margin is None else f" ± {_number(treatment.margin, metric, 2)}")


def _verdict(treatment: Treatment) -> str:
    diverged = sum(run.status == "diverged" for run in treatment.runs)
    ended = f", {diverged} of {len(treatment.runs)} diverged" if diverged else ""
    if treatment.name == NOTHING:
        return f"as given{ended}"
    if treatment.dropped:
        return "dropped after one seed"
    if treatment.helped:
        return f"helped{ended}"
    if treatment.gain is None or treatment.margin is None:
        return f"not compared{ended}"
    return ("worse" if treatment.gain < -treatment.margin else "within noise") + ended
