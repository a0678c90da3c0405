"""The loss and the metric that somebody gives for their own network."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from normwise.errors import InvalidArgumentError, RequestError, first_line
from normwise.lab import chance, meters, metrics
from normwise.lab.data.targets import is_zero_one
from normwise.lab.objective import described
from normwise.lab.task import Chance, Kind, fits
from normwise.records.metric import ACCURACY, IGNORED, LOSS, Metric

Criterion = Callable[[Any, Any], Any]


class OwnScorer:
    """A loss ``criterion(outputs, target)`` and a metric; see ``normwise.doctor.examining.scores.Scorer``.

    Args:
        criterion: the loss, a mean over the examples of a batch.
        metric: a name as in ``normwise compare --metric``, or a function of all outputs and all targets, which is
            better the larger it is unless its attribute ``higher_is_better`` is False; None for the accuracy where
            targets are the numbers of classes and the outputs fit, else for the loss.
        outputs: those of some batch, and ``target`` what they are compared with, by which the metric is chosen.
        target: see there.

    Raises:
        RequestError: (a ValueError) the criterion does not take these, or returns no scalar; there is no such metric.
    """

    def __init__(self, criterion: Criterion, metric: str | Criterion | None, outputs: Any, target: Any) -> None:
        if not callable(criterion):
            raise InvalidArgumentError(
                f"criterion must be a function of (outputs, target), got {described(criterion)}; nn.CrossEntropyLoss() "
                "is one"
            )
        self._criterion = criterion
        self._own = metric if callable(metric) else None
        self.loss(outputs, target)
        self.kind = kind_of(outputs, target)
        self.metric = self._chosen(metric)
        self._width = outputs.shape[1] if isinstance(outputs, Tensor) and outputs.ndim > 1 else None
        if self.metric != LOSS:
            self._try(outputs, target)

    def _chosen(self, metric: str | Criterion | None) -> Metric:
        if isinstance(metric, str):
            return metrics.named(metric, self.kind)
        if metric is not None:
            name = str(getattr(metric, "__name__", type(metric).__name__))
            name = "metric" if name == "<lambda>" else name
            return Metric(name, name.replace("_", " "), bool(getattr(metric, "higher_is_better", True)))
        return ACCURACY if self.kind == "classification" else LOSS

    def _try(self, outputs: Any, target: Any) -> None:
        try:
            meter = self.meter()
            meter.update(outputs, target)
            meter.value()
        except RequestError:
            raise
        except Exception as error:
            raise RequestError(
                f"metric {self.metric.name} does not take outputs of {described(outputs)} and targets of "
                f"{described(target)}: {first_line(error)}"
            ) from error

    def loss(self, outputs: Any, target: Any) -> Any:
        """The loss of a batch."""
        try:
            loss = self._criterion(outputs, target)
        except Exception as error:
            raise RequestError(
                f"the criterion raised {type(error).__name__}: {first_line(error)}; it is called as "
                f"criterion(outputs, target) with outputs of {described(outputs)} and targets of {described(target)}"
            ) from error
        if isinstance(loss, Tensor) and loss.numel() == 1:
            return loss
        if isinstance(loss, (int, float)):
            return loss
        raise RequestError(
            f"the criterion returned {described(loss)}; it must return a scalar, the mean over the batch: "
            "reduction='mean'"
        )

    def weight(self, target: Any, size: int = 0) -> int:
        """How many labels count: those that are not -100 where targets are class numbers; else how many examples."""
        return int((target != IGNORED).sum()) if self.kind == "classification" else size

    def in_own_unit(self, outputs: Any) -> Any:
        """Outputs as they are."""
        return outputs

    def meter(self) -> meters.Meter:
        """A new meter of the metric."""
        return meters.meter(self.kind, self.metric, self._width, self._own)

    def chance(self, targets: list[Tensor]) -> Chance | None:
        """What guessing scores on these targets; None where there is no telling."""
        if self._own is not None or self.metric == LOSS or len({each.shape[1:] for each in targets}) != 1:
            return None
        joined = torch.cat([each.cpu() for each in targets])
        values = joined.numpy() if self.kind == "classification" else joined.float().numpy()
        found = chance.chance(self.kind, self.metric, np.asarray(values), self._width)
        return found if found is not None and math.isfinite(found.value) else None


def kind_of(outputs: Any, target: Any) -> Kind:
    """The kind of task that outputs and targets look like."""
    if not isinstance(outputs, Tensor) or not isinstance(target, Tensor) or not outputs.is_floating_point():
        return "other"
    shapes = tuple(outputs.shape), tuple(target.shape)
    if target.dtype == torch.int64 and fits(*shapes, "classification"):
        return "classification"
    if target.dtype != torch.bool and target.is_floating_point() and fits(*shapes, "regression"):
        if is_zero_one(target.cpu().numpy()):
            return "binary" if target.numel() == len(target) else "multilabel"
        return "regression"
    return "other"
