"""The loss and the metric of a task, on tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from normwise.errors import RequestError, first_line
from normwise.lab import meters
from normwise.lab.meters import Function, Meter, aligned
from normwise.lab.settings import Settings
from normwise.lab.task import Kind
from normwise.records.metric import IGNORED, Metric

Loss = Callable[[Any, Any], Tensor]

LOSSES: dict[str, tuple[tuple[Kind, ...], Loss]] = {
    "cross_entropy": (("classification",), F.cross_entropy),
    "bce": (("binary", "multilabel"), F.binary_cross_entropy_with_logits),
    "mse": (("regression",), F.mse_loss),
    "mae": (("regression",), F.l1_loss),
    "huber": (("regression",), F.huber_loss),
}
"""The named losses and the tasks that each is for; the first of a task is its default. All are means over a batch."""


def default_loss(kind: Kind) -> str:
    """The loss of a task unless another is asked for; RequestError for ``other``, which has none."""
    for name, (kinds, _) in LOSSES.items():
        if kind in kinds:
            return name
    raise RequestError(f"a task of kind {kind} has no loss of its own; give one: --loss FILE.py:function")


class Objective:
    """The loss and the metric of one run.

    The loss of a regression is that of scaled targets, (t − shift)·factor; its metric is in the target's own unit.

    Args:
        settings: the run's.
        own: the user's functions by ``loss`` and ``metric``, where they are none of the named ones.
        scaling: shift and factor of the targets, for ``targets=standard``.
    """

    def __init__(
        self,
        settings: Settings,
        own: Mapping[str, Function] | None = None,
        scaling: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        self.kind: Kind = settings.task  # type: ignore[assignment]
        self.metric = settings.metric
        self._outputs = settings.outputs
        self._own = dict(own or {})
        self._loss = self._own.get("loss") or LOSSES[settings.loss][1]
        self._scaling = None if scaling is None else tuple(torch.as_tensor(each).float() for each in scaling)

    def loss(self, outputs: Any, target: Any) -> Tensor:
        """The loss of a batch, a scalar."""
        if "loss" in self._own or self.kind == "other":
            return self._loss(outputs, self._scaled(target))
        if self.kind != "classification":
            target = self._scaled(target)
            outputs = aligned(outputs, target)
        elif target.ndim > 1 and not self.weight(target):
            none: Tensor = outputs.sum() * 0  # a mean over no label would be NaN
            return none
        return self._loss(outputs, target)

    def compared(self, target: Any) -> Any:
        """What the loss compares outputs with: a target in the loss's own unit."""
        named = "loss" not in self._own and self.kind == "classification"
        return target if named else self._scaled(target)

    def weight(self, target: Any, size: int = 0) -> int:
        """What the loss of a batch is a mean over: the labels that count, or ``size`` examples."""
        named = "loss" not in self._own and self.kind == "classification"
        return int((target != IGNORED).sum()) if named else size

    def _scaled(self, target: Any) -> Any:
        if self._scaling is None:
            return target
        shift, factor = (each.to(target.device) for each in self._scaling)
        return (target - shift) * factor

    def in_own_unit(self, outputs: Any) -> Any:
        """Outputs of a regression in the unit of its target; of other tasks as they are."""
        if self._scaling is None:
            return outputs
        shift, factor = (each.to(outputs.device) for each in self._scaling)
        if shift.ndim and outputs.shape[1:] != shift.shape:
            outputs = outputs.reshape(len(outputs), *shift.shape)
        return outputs / factor + shift

    def has_own(self, what: str) -> bool:
        """Whether ``loss`` or ``metric`` is the user's own."""
        return what in self._own

    def meter(self) -> Meter:
        """A new meter of the metric, for outputs in the target's unit; not for ``LOSS``."""
        return meters.meter(self.kind, self.metric, self._outputs, self._own.get("metric"))


def score(kind: Kind, metric: Metric, outputs: Tensor, targets: Tensor, own: Function | None = None) -> float:
    """A metric of all outputs and targets of a part, the outputs in the unit of the targets."""
    found = meters.meter(kind, metric, outputs.shape[1] if outputs.ndim > 1 else None, own)
    found.update(outputs, targets)
    return found.value()


def check_loss(objective: Objective, outputs: Any, target: Any, name: str) -> None:
    """Try a loss on finite outputs of a network.

    Raises:
        RequestError: it raises, returns no scalar, is not finite, or has no gradient.
    """
    try:
        loss = objective.loss(outputs, target)
    except (Exception, SystemExit) as error:
        raise RequestError(
            f"loss {name} raised {type(error).__name__}: {first_line(error)}; it is called as loss(outputs, targets) "
            f"with outputs of {described(outputs)} and targets of {described(target)}"
        ) from error
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        got = described(loss)
        raise RequestError(f"loss {name} returned {got}; it must return a scalar tensor: take the mean over the batch")
    if not loss.requires_grad:
        raise RequestError(f"loss {name} gives no gradient; compute it from the outputs with torch, without detach()")
    if not loss.isfinite():
        raise RequestError(
            f"loss {name} is {loss.item()} for finite outputs; check it for log(0) or a division by 0, and targets "
            "for their size"
        )
    if objective.has_own("loss"):
        _check_broadcast(objective.loss, loss.detach(), outputs, target, f"loss {name}")


def check_metric(objective: Objective, outputs: Any, target: Any) -> None:
    """Try a metric on finite outputs of a network, in the unit of the targets.

    Raises:
        RequestError: it raises, or returns no number.
    """
    name = objective.metric.name

    def measured(outputs: Any, target: Any) -> float:
        meter = objective.meter()
        meter.update(outputs, target)
        return meter.value()

    try:
        value = measured(outputs, target)
    except RequestError:
        raise
    except Exception as error:
        raise RequestError(f"metric {name} does not take these outputs and targets: {first_line(error)}") from error
    if objective.has_own("metric"):
        _check_broadcast(measured, value, outputs, target, f"metric {name}")


def _check_broadcast(function: Callable[[Any, Any], Any], value: Any, outputs: Any, target: Any, name: str) -> None:
    """Refuse a function that compares each output with every target, (N, 1) with (N,), as torch does in silence."""
    if not isinstance(outputs, Tensor) or not isinstance(target, Tensor) or outputs.shape == target.shape:
        return
    if outputs.numel() != target.numel():
        return
    try:
        paired = float(function(outputs.detach().reshape(target.shape), target))
    except Exception:
        return  # it is written for outputs as they are
    if not np.isclose(paired, float(value), rtol=1e-4, atol=1e-6, equal_nan=True):
        shapes = f"{tuple(outputs.shape)} and {tuple(target.shape)}"
        raise RequestError(
            f"{name} compares every output with every target: it is {float(value):.6g} for outputs and targets of "
            f"shape {shapes}, and {paired:.6g} for pairs of them; write outputs.reshape(targets.shape) in it"
        )


def described(value: Any) -> str:
    """What a value is, for an error: ``a tensor of shape (4, 10)``, ``a tuple of 2``."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, dict):
        return f"a dict with {', '.join(map(str, value))}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"
