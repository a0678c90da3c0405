"""Accumulating a metric over the batches of a part."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor

from normwise.errors import RequestError, first_line
from normwise.lab.metrics import AVERAGED, library
from normwise.lab.task import Kind
from normwise.records.metric import IGNORED, Metric

Function = Callable[[Any, Any], Any]


class Meter(Protocol):
    """A metric over the batches of a part."""

    def update(self, outputs: Any, targets: Any) -> None:
        """Add one batch."""

    def value(self) -> float:
        """The metric over all batches that were added."""


def meter(kind: Kind, metric: Metric, outputs: int | None, own: Function | None = None) -> Meter:
    """A meter for a metric.

    Args:
        kind: of the task.
        metric: any but ``LOSS``.
        outputs: the number of classes or labels.
        own: the user's function, for a metric that is none of the table's.
    """
    if own is not None:
        return _Own(own, metric.name)
    match metric.name:
        case "accuracy":
            return _Accuracy(kind)
        case "r2" | "explained_variance" as name:
            return _Explained(name)
        case "mse" | "rmse" | "mae":
            return _Error(metric.name)
    return _Library(kind, library(metric.name), outputs)


def aligned(outputs: Tensor, targets: Tensor) -> Tensor:
    """Outputs in the shape of the targets, from which they may differ by axes of size 1."""
    return outputs.reshape(targets.shape)


class _Accuracy:
    """The share of right answers: the largest of the outputs of an example, or the sign of each logit."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._right = self._count = 0

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        if self._kind == "classification":
            counted = targets != IGNORED
            right = (outputs.argmax(1) == targets) & counted
            self._count += int(counted.sum())
        else:
            right = (aligned(outputs, targets) > 0) == (targets > 0.5)
            self._count += right.numel()
        self._right += int(right.sum())

    def value(self) -> float:
        return self._right / self._count if self._count else float("nan")


class _Error:
    """Mean squared or absolute error, over examples and targets."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._sum, self._count = 0.0, 0

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        error = aligned(outputs, targets).double() - targets.double()
        self._sum += float(error.abs().sum() if self._name == "mae" else error.square().sum())
        self._count += error.numel()

    def value(self) -> float:
        mean = self._sum / self._count
        return float(mean**0.5) if self._name == "rmse" else mean


class _Explained:
    """How much of the targets' variance is explained, as a mean over the columns of (N, K) targets.

    ``r2``: 1 − Σ(t − y)²/Σ(t − mean t)²; ``explained_variance``: 1 − var(t − y)/var(t). Columns that are constant are
    left out. Targets of other shapes, such as those of each step of a sequence, count as one column.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._targets, self._errors = _Moments(), _Moments()

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        error = targets.double() - aligned(outputs, targets).double()
        columns = targets.shape[1] if targets.ndim == 2 and outputs.shape == targets.shape else 1
        self._targets.update(targets.double().reshape(-1, columns))
        self._errors.update(error.reshape(-1, columns))

    def value(self) -> float:
        total, left = self._targets.squares(), self._errors.squares(around_zero=self._name == "r2")
        varies = total > 0
        return float((1 - left[varies] / total[varies]).mean()) if varies.any() else float("nan")


class _Moments:
    """Count, mean and sum of squared differences from it of columns; batches are merged by Chan's formula."""

    def __init__(self) -> None:
        self._count, self._mean, self._squares = 0, torch.zeros(1), torch.zeros(1)

    def update(self, rows: Tensor) -> None:
        if self._count and rows.shape[1] != len(self._mean):
            rows = rows.reshape(-1, 1)
            self._pool()
        count, mean = len(rows), rows.mean(0)
        squares = (rows - mean).square().sum(0)
        if self._count:
            total, apart = self._count + count, mean - self._mean
            squares = self._squares + squares + apart.square() * (self._count * count / total)
            mean, count = self._mean + apart * (count / total), total
        self._count, self._mean, self._squares = count, mean, squares

    def _pool(self) -> None:
        """Make one column of several: batches of other widths follow."""
        columns, mean = len(self._mean), self._mean.mean()
        squares = self._squares.sum() + self._count * (self._mean - mean).square().sum()
        self._count, self._mean, self._squares = self._count * columns, mean.reshape(1), squares.reshape(1)

    def squares(self, *, around_zero: bool = False) -> Tensor:
        """The sum of squared differences from the mean, or from zero."""
        return self._squares + self._count * self._mean.square() if around_zero else self._squares


class _Library:
    """A metric of torchmetrics; averages over classes are macro: every class counts the same.

    Of ``AUROC`` and ``AveragePrecision`` a class that has no example, or no other class's, is left out: NaN where that
    leaves none.
    """

    def __init__(self, kind: Kind, name: str, outputs: int | None) -> None:
        self._kind, self._name, self._outputs = kind, name, outputs
        self._metric: Any = None
        self._all = 0

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        if self._kind == "regression":
            outputs, targets = aligned(outputs, targets).float(), targets.float()
        elif self._kind == "classification":
            self._outputs = outputs.shape[1]
            outputs = outputs.float().softmax(1)
        else:
            outputs, targets = aligned(outputs, targets).float().sigmoid(), targets.long()
        if self._metric is None:
            self._make()
        self._metric.update(outputs.cpu(), targets.cpu())
        self._count(targets)

    def _make(self) -> None:
        import torchmetrics

        with _without_remarks():  # on memory, and on classes that a small sample lacks
            self._metric = getattr(torchmetrics, self._name)(**self._options())
        self._seen = torch.zeros(1 if self._kind == "binary" else self._outputs or 1)

    def _options(self) -> dict[str, Any]:
        if self._kind == "regression":
            several = self._outputs is not None and self._outputs > 1 and self._name.endswith("CorrCoef")
            return {"num_outputs": self._outputs} if several else {}
        task = {"classification": "multiclass"}.get(self._kind, self._kind)
        counts = {"multiclass": {"num_classes": self._outputs}, "multilabel": {"num_labels": self._outputs}}
        options: dict[str, Any] = {"task": task, **counts.get(task, {})}
        if self._name in _RANKING:
            options["average"] = "none"
        elif self._name in AVERAGED:
            options["average"] = "macro"
        if task == "multiclass":
            options["ignore_index"] = IGNORED
        return options

    def _count(self, targets: Tensor) -> None:
        """Count the examples of each class, for those that a ranking leaves out."""
        if self._name not in _RANKING:
            return
        if self._kind == "classification":
            labels = targets[targets != IGNORED].reshape(-1).cpu()
            self._seen += torch.bincount(labels, minlength=len(self._seen))[: len(self._seen)]
            self._all += len(labels)
        else:
            self._seen += targets.reshape(-1, len(self._seen)).sum(0).cpu()
            self._all += targets.numel() // len(self._seen)

    def value(self) -> float:
        with _without_remarks():
            found = self._metric.compute().float().reshape(-1)
        if self._name in _RANKING:
            found = found[(self._seen > 0) & (self._seen < self._all)]
        return float(found.mean()) if len(found) else float("nan")


_RANKING = ("AUROC", "AveragePrecision")


@contextmanager
def _without_remarks() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="torchmetrics")
        yield


class _Own:
    """The user's function of all outputs and all targets.

    Where batches differ in shape, so that they cannot be put together, it is called per batch, and the mean over the
    examples is taken.
    """

    def __init__(self, function: Function, name: str) -> None:
        self._function, self._name = function, name
        self._outputs: list[Any] = []
        self._targets: list[Any] = []

    def update(self, outputs: Any, targets: Any) -> None:
        self._outputs.append(outputs)
        self._targets.append(targets)

    def value(self) -> float:
        outputs, targets = joined(self._outputs), joined(self._targets)
        if outputs is not None and targets is not None:
            return self._call(outputs, targets)
        pairs = list(zip(self._outputs, self._targets, strict=True))
        counts = [len(target) for target in self._targets]
        return sum(self._call(*pair) * count for pair, count in zip(pairs, counts, strict=True)) / sum(counts)

    def _call(self, outputs: Any, targets: Any) -> float:
        try:
            return float(self._function(outputs, targets))
        except (Exception, SystemExit) as error:
            raise RequestError(
                f"metric {self._name} raised {type(error).__name__}: {first_line(error)}; it is called as "
                "metric(outputs, targets) with all outputs of a part, and returns a number"
            ) from error


def joined(batches: list[Any]) -> Tensor | None:
    """One tensor of all batches; None where they are no tensors or differ in shape behind the first axis."""
    if not all(isinstance(each, Tensor) and each.ndim for each in batches):
        return None
    return torch.cat(batches) if len({each.shape[1:] for each in batches}) == 1 else None
