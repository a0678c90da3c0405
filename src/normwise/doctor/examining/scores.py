"""Loss and metric of one way to normalize, and by how much two ways differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from normwise.doctor.examination import Measured
from normwise.errors import RequestError
from normwise.lab.meters import Meter
from normwise.lab.task import Kind
from normwise.records.metric import IGNORED, LOSS, Metric

GROUPS = 10
"""Groups of pieces, each of which is left out once to learn how uncertain a metric is."""


class Scorer(Protocol):
    """A loss and a metric, such as ``normwise.lab.objective.Objective``."""

    kind: Kind
    metric: Metric

    def loss(self, outputs: Any, target: Any) -> Any:
        """The loss of a batch, a scalar."""

    def weight(self, target: Any, size: int = 0) -> int:
        """What the loss of a batch is a mean over."""

    def in_own_unit(self, outputs: Any) -> Any:
        """Outputs as the metric takes them."""

    def meter(self) -> Meter:
        """A new meter of the metric."""


class Scores:
    """Loss and metric over the batches that are added.

    Args:
        scorer: the loss and the metric.
        pieces: in how many pieces each batch is cut where its outputs and targets are tensors, so that there are enough
            of them to tell the noise by.
    """

    def __init__(self, scorer: Scorer, pieces: int = 1) -> None:
        self._scorer, self._pieces = scorer, pieces
        self._sum, self._count, self._index = 0.0, 0, 0
        self._losses: list[tuple[float, int]] = []
        has_metric = scorer.metric != LOSS
        self._meter = scorer.meter() if has_metric else None
        self._without = [scorer.meter() for _ in range(GROUPS)] if has_metric else []
        self._groups: set[int] = set()

    def add(self, outputs: Any, target: Any, size: int) -> None:
        """Add a batch."""
        weight = self._scorer.weight(target, size)
        loss = float(self._scorer.loss(outputs, target))
        self._sum += loss * weight
        self._count += weight
        pieces = _cut(outputs, target, self._pieces)
        for piece_outputs, piece_target in pieces or [(outputs, target)]:
            self._add_piece(piece_outputs, piece_target, size, loss if pieces is None else None)

    def _add_piece(self, outputs: Any, target: Any, size: int, loss: float | None) -> None:
        size = size if loss is not None else len(target)
        loss = float(self._scorer.loss(outputs, target)) if loss is None else loss
        self._losses.append((loss, self._scorer.weight(target, size)))
        group = self._index % GROUPS
        self._index += 1
        self._groups.add(group)
        if self._meter is not None and math.isfinite(self._sum):
            outputs = self._scorer.in_own_unit(outputs)
            self._meter.update(outputs, target)
            for other, meter in enumerate(self._without):
                if other != group:
                    meter.update(outputs, target)

    def measured(self) -> Measured:
        """Loss and metric over all batches."""
        loss = _finite(self._sum / self._count) if self._count else None
        known = self._meter is not None and loss is not None
        return Measured(loss, _finite(self._meter.value()) if known and self._meter is not None else None)

    def losses(self) -> list[tuple[float, int]]:
        """The loss of each piece and what it is a mean over."""
        return self._losses

    def metrics_without(self) -> list[float]:
        """The metric without each group of pieces."""
        if self._meter is None or len(self._groups) < 2 or not math.isfinite(self._sum):
            return []
        return [self._without[group].value() for group in sorted(self._groups)]


def loss_margin(a: Scores, b: Scores) -> float | None:
    """Two standard errors, over pieces, of the difference of two losses on the same batches.

    With differences d_i that are means over w_i: 2·√(n/(n − 1)·Σ w_i²(d_i − d)²)/Σ w_i.
    """
    pairs = list(zip(a.losses(), b.losses(), strict=True))
    weights = [weight for (_, weight), _ in pairs]
    differences = [left - right for (left, _), (right, _) in pairs]
    total = sum(weights)
    if len(pairs) < 2 or not total or not all(map(math.isfinite, differences)):
        return None
    mean = sum(w * d for w, d in zip(weights, differences, strict=True)) / total
    squares = sum((w * (d - mean)) ** 2 for w, d in zip(weights, differences, strict=True))
    return 2 * math.sqrt(len(pairs) / (len(pairs) - 1) * squares) / total


def metric_margin(a: Scores, b: Scores) -> float | None:
    """Two standard errors of the difference of two metrics, by the jackknife over groups of pieces.

    With δ_j the difference without group j of g: 2·√((g − 1)/g·Σ(δ_j − δ)²). Source: Efron and Tibshirani 1993, "An
    Introduction to the Bootstrap", section 11.
    """
    differences = [left - right for left, right in zip(a.metrics_without(), b.metrics_without(), strict=False)]
    if len(differences) < 2 or not all(map(math.isfinite, differences)):
        return None
    groups, mean = len(differences), sum(differences) / len(differences)
    return 2 * math.sqrt((groups - 1) / groups * sum((each - mean) ** 2 for each in differences))


def constant_loss(scorer: Scorer, targets: Sequence[Any], classes: int | None) -> float | None:
    """The loss where the outputs are the logarithms of the classes' shares for every example.

    None where targets are not one class for each example, or the loss does not take that.
    """
    if scorer.kind != "classification" or not classes or any(target.ndim != 1 for target in targets):
        return None
    labels = torch.cat(list(targets))
    counted = labels[labels != IGNORED].cpu()
    shares = torch.bincount(counted, minlength=classes).double() / max(1, len(counted))
    outputs = shares.clamp(min=1e-12).log().float().expand(len(labels), -1).to(labels.device)
    try:
        return _finite(float(scorer.loss(outputs, labels)))
    except (RequestError, RuntimeError):
        return None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _cut(outputs: Any, target: Any, pieces: int) -> Sequence[tuple[Tensor, Tensor]] | None:
    """Outputs and targets in pieces of two examples at least; None where they stay whole."""
    if pieces < 2 or not isinstance(outputs, Tensor) or not isinstance(target, Tensor):
        return None
    if not outputs.ndim or not target.ndim or len(outputs) != len(target) or len(target) < 4:
        return None
    pieces = min(pieces, len(target) // 2)
    return list(zip(outputs.tensor_split(pieces), target.tensor_split(pieces), strict=True))
