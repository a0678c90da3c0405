"""The targets that were seen, and the loss of the best constant prediction for them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from normwise.probes.tail import SUM, Tail
from normwise.probes.watched import Targets

KEPT = 1 << 16
"""Target values that are kept, for medians and Huber losses."""

CLASSES = 1 << 16
"""The largest class number that is counted."""

Values = NDArray[np.float64]


class TargetCounts:
    """Gathers the targets of some batches: class numbers are counted, numbers are kept up to ``KEPT`` of them.

    Attributes:
        tail: how the loss ends, by which the constant is judged.
    """

    def __init__(self, tail: Tail) -> None:
        self.tail = tail
        self._counts = np.zeros(0)
        self._shares: list[float] = []
        self._rows: list[Values] = []
        self._kept = 0
        self._batches: list[int] = []

    def add(self, target: Any) -> None:
        """Add the targets of a batch; what is no tensor of real numbers in memory is left out."""
        if not isinstance(target, Tensor) or target.layout is not torch.strided or target.is_nested:
            return
        if not target.numel() or target.is_complex():
            return
        kind = self.tail.loss.kind
        if kind in ("cross_entropy", "nll") and not target.is_floating_point():
            self._count(target)
        elif target.dtype != torch.bool or kind != "other":
            self._keep(target)

    def _count(self, target: Tensor) -> None:
        numbers = target.detach().cpu().numpy().reshape(-1)
        if numbers.min() < 0 or numbers.max() >= CLASSES:
            numbers = numbers[(numbers >= 0) & (numbers < CLASSES)]
        if not len(numbers):
            return
        counts = np.bincount(numbers).astype(float)
        self._add_counts(counts)
        self._batches.append(int(counts.sum()))

    def _add_counts(self, counts: Values) -> None:
        self._shares.append(float(counts.max() / counts.sum()))
        if len(counts) > len(self._counts):
            self._counts = np.pad(self._counts, (0, len(counts) - len(self._counts)))
        self._counts[: len(counts)] += counts

    def _keep(self, target: Tensor) -> None:
        rows = target.detach().to(torch.float32 if target.device.type == "mps" else torch.float64).cpu()
        values: Values = rows.reshape(len(rows) if rows.ndim else 1, -1).numpy().astype(np.float64)
        self._batches.append(values.size if self.tail.loss.kind not in ("cross_entropy",) else len(values))
        if self._rows and values.shape[1] != self._rows[0].shape[1]:
            return
        if self._kept < KEPT:
            self._rows.append(values)
            self._kept += values.size
        if self._is_label(values):
            self._add_counts(np.bincount(values.reshape(-1).astype(int), minlength=2).astype(float))

    def _is_label(self, values: Values) -> bool:
        kind = self.tail.loss.kind
        return kind.startswith("bce") and values.shape[1] == 1 and bool(((values == 0) | (values == 1)).all())

    def value(self) -> Targets | None:
        """What was seen; None without targets."""
        classes, same = self._classes()
        if self._rows:
            values = np.concatenate(self._rows)
            return Targets(classes, *_summary(values, np.ones(values.shape)), same)
        if not len(self._counts):
            return None
        return Targets(classes, *_summary(np.arange(len(self._counts), dtype=float), self._counts), same)

    def _classes(self) -> tuple[int | None, float | None]:
        if not len(self._counts):
            return None, None
        return int(np.count_nonzero(self._counts)), sum(self._shares) / len(self._shares)

    def constant(self) -> float | None:
        """The loss of the best constant prediction; None where there is no telling."""
        kind, reduction = self.tail.loss.kind, self.tail.reduction
        if reduction is None or not self._batches:
            return None
        found = self._of_classes() if kind in ("cross_entropy", "nll") else self._of_values(kind)
        if found is None or not math.isfinite(found):
            return None
        found *= 1.0 if self.tail.loss.scale is None else self.tail.loss.scale
        return found * float(np.mean(self._batches)) if reduction == SUM else found

    def _of_classes(self) -> float | None:
        if self._rows:
            return _entropy(np.concatenate(self._rows).mean(0))
        return _entropy(self._counts / self._counts.sum()) if len(self._counts) else None

    def _of_values(self, kind: str) -> float | None:
        if not self._rows:
            return None
        values = np.concatenate(self._rows)
        if kind.startswith("bce"):
            shares = values.mean(0)
            return float(np.mean([_entropy(np.array([share, 1 - share])) for share in shares]))
        if kind == "mse":
            return float(values.var(0).mean())
        if kind == "mae":
            return float(np.abs(values - np.median(values, axis=0)).mean())
        if kind == "huber":
            return self.tail.factor * float(np.mean([_huber(column, self.tail.delta) for column in values.T]))
        return None


def _summary(values: Values, weights: Values) -> tuple[float, float, float, float]:
    """The lowest, the highest, the mean and the deviation of values that count so often."""
    there = values[weights > 0]
    mean = float(np.average(values, weights=weights))
    std = math.sqrt(float(np.average((values - mean) ** 2, weights=weights)))
    return float(there.min()), float(there.max()), mean, std


def _entropy(shares: Values) -> float:
    """−Σ p·ln p."""
    there = shares[shares > 0]
    return float(-(there * np.log(there)).sum()) + 0.0


def _huber(values: Values, delta: float) -> float:
    """The least mean Huber loss of a constant c: convex in c, so found by halving between the extremes."""

    def slope(c: float) -> float:
        return float(np.clip(c - values, -delta, delta).sum())

    c = _root(slope, float(values.min()), float(values.max()))
    distance = np.abs(values - c)
    return float(np.where(distance <= delta, distance**2 / 2, delta * (distance - delta / 2)).mean())


def _root(rising: Callable[[float], float], low: float, high: float) -> float:
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low + high) / 2
