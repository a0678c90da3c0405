"""A diagnosis in a terminal: the table of treatments, and a line per finding."""

from __future__ import annotations

from normwise.doctor.diagnosis import Diagnosis
from normwise.doctor.gains import NOTHING
from normwise.doctor.treatment import Treatment
from normwise.records.metric import Metric


def treatments(found: Diagnosis) -> tuple[list[str], list[list[str]]]:
    """The columns, and a row per treatment: those tried on every seed first, the best of them at the top."""
    metric = found.metric
    columns = ["treatment", f"validation {metric.label}", "gain", "helped"]
    return columns, [_row(each, metric) for each in _ordered(found.treatments, metric)]


def _ordered(every: tuple[Treatment, ...], metric: Metric) -> list[Treatment]:
    worst = float("inf")

    def key(one: Treatment) -> tuple[bool, bool, float]:
        return one.name != NOTHING, bool(one.dropped), worst if one.mean is None else -metric.score(one.mean)

    return sorted(every, key=key)


def _row(one: Treatment, metric: Metric) -> list[str]:
    mean = metric.write(one.mean) + ("" if one.std is None else f" ± {_size(one.std, metric)}")
    if one.name == NOTHING:
        return [one.name, mean, "", ""]
    return [one.name, mean, _gain(one, metric), "yes" if one.helped else "one seed" if one.dropped else "no"]


def _gain(one: Treatment, metric: Metric) -> str:
    if one.gain is None:
        return "–"
    if one.margin is None:
        return metric.write_difference(one.gain)
    return metric.write_interval(one.gain, one.margin)


def _size(value: float, metric: Metric) -> str:
    return f"{100 * value:.1f}" if metric.percent else f"{value:.2g}"


def findings(found: Diagnosis) -> list[str]:
    """A line per finding: rule, name, severity, where, and what it says."""
    return [str(finding) for finding in found.findings]
