"""What can be drawn over training with a line per arm: how it is called, and where it is in the records."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from normwise.figures import limits
from normwise.figures.chart import First
from normwise.figures.series import number
from normwise.records import RunRecord
from normwise.records.metric import LOSS

Name = Literal["metric", "loss", "gradients", "preactivations", "saturated"]
Read = Callable[[Mapping[str, Any]], Any]

LOSSES = {
    "cross_entropy": "cross-entropy",
    "mse": "mean squared error",
    "mae": "mean absolute error",
    "huber": "Huber loss",
    "bce": "binary cross-entropy",
}


class Part(NamedTuple):
    """One line of each arm.

    Attributes:
        name: how it is told from the others.
        value: its value in a line of ``metrics.jsonl``.
        edges: its band's, where that is not the range over seeds.
    """

    name: str
    value: Read
    edges: tuple[Read, Read] | None = None


class Quantity(NamedTuple):
    """Something that was measured over training.

    Attributes:
        title: the heading.
        label: of the y axis, with the direction.
        percent: whether it is a share that is written in percent.
        parts: the lines of each arm, the solid one first.
        limits: from all values to the limits of the y axis.
        log: whether the y axis may be logarithmic; it is where no value is negative.
        first: which values are better; empty where neither are.
        judged: whether runs are judged by it.
    """

    title: str
    label: str
    percent: bool
    parts: tuple[Part, ...]
    limits: Callable[[Sequence[float]], limits.Limits]
    log: bool = False
    first: First = ""
    judged: bool = False

    @property
    def spread(self) -> bool:
        """Whether the bands are not the range over seeds."""
        return self.parts[0].edges is not None

    def curve(self, run: RunRecord, read: Read) -> dict[int, float]:
        """One run's values by step; nan for what was not measured."""
        return {line["step"]: number(_read(line, read)) for line in run.metrics}


def _read(line: Mapping[str, Any], read: Read) -> Any:
    try:
        return read(line)
    except (KeyError, IndexError):
        return None


def quantity(runs: Sequence[RunRecord], name: Name) -> Quantity:
    """How ``name`` is read from, and called for, these runs."""
    return {
        "metric": _metric,
        "loss": _loss,
        "gradients": _gradients,
        "preactivations": _preactivations,
        "saturated": _saturated,
    }[name](runs)


def direction(higher_is_better: bool) -> str:
    """Which way is better, in words."""
    return f"{'higher' if higher_is_better else 'lower'} is better"


def capital(text: str) -> str:
    """The text with its first letter large, unless it is a name in a file, ``net.py:score``."""
    return text if ":" in text else text[:1].upper() + text[1:]


def loss_label(runs: Sequence[RunRecord]) -> str:
    """How the loss is called; of the user's own, in a file, the file's folder is left out."""
    name = str(runs[0].settings.get("loss", "loss"))
    return LOSSES.get(name, name.rpartition("/")[2])


def _parts(key: str) -> tuple[Part, ...]:
    return tuple(Part(part, lambda line, part=part: line[part][key]) for part in ("test", "train"))  # type: ignore[misc]


def _metric(runs: Sequence[RunRecord]) -> Quantity:
    metric = runs[0].metric

    def reach(values: Sequence[float]) -> limits.Limits:
        if metric.percent:
            return limits.shares(values)
        return limits.good_side(values, higher_is_better=metric.higher_is_better)

    label = f"{metric.label}, {direction(metric.higher_is_better)}"
    title = f"{capital(metric.label)} over training"
    first: First = "highest" if metric.higher_is_better else "lowest"
    return Quantity(title, label, metric.percent, _parts(metric.name), reach, first=first, judged=True)


def _loss(runs: Sequence[RunRecord]) -> Quantity:
    label = loss_label(runs)

    def reach(values: Sequence[float]) -> limits.Limits:
        if any(value < 0 for value in values if math.isfinite(value)):
            return limits.good_side(values, higher_is_better=False)
        return limits.positive(values, floor=1e-6, spike=20.0)

    parts = _parts("loss")
    label = f"{label}, {direction(False)}"
    judged = runs[0].metric == LOSS
    return Quantity("Loss over training", label, False, parts, reach, log=True, first="lowest", judged=judged)


def _gradients(runs: Sequence[RunRecord]) -> Quantity:
    parts = (
        Part("first layer", lambda line: line["gradients"][0]["norm"]),
        Part("last layer", lambda line: line["gradients"][-1]["norm"]),
    )
    title = "Gradient norm in the first and the last layer"
    return Quantity(title, "gradient norm", False, parts, limits.positive, log=True, first="highest")


def _preactivations(runs: Sequence[RunRecord]) -> Quantity:
    def read(key: str) -> Read:
        return lambda line: line["preactivations"][-1][key]

    parts = (Part("median", read("p50"), (read("p15"), read("p85"))),)
    title = "Input of the last hidden nonlinearity"
    return Quantity(title, "median, and 15th to 85th percentile", False, parts, limits.middle, first="highest")


def _saturated(runs: Sequence[RunRecord]) -> Quantity:
    parts = (Part("saturated", lambda line: line["preactivations"][-1]["saturated"]),)
    title = "Saturated share of the last hidden nonlinearity"
    return Quantity(
        title, "share of units that let hardly any gradient through", True, parts, limits.shares, first="highest"
    )
