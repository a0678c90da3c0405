"""The loss and the metric of a task, on tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from normwise.errors import RequestError, first_line
from normwise.lab import metrics
from normwise.lab.metrics import Function, Meter, aligned
from normwise.lab.settings import Settings
from normwise.lab.task import Chance, Kind
from normwise.records.metric import IGNORED, LOSS, Metric

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
        return metrics.meter(self.kind, self.metric, self._outputs, self._own.get("metric"))


def score(kind: Kind, metric: Metric, outputs: Tensor, targets: Tensor, own: Function | None = None) -> float:
    """A metric of all outputs and targets of a part, the outputs in the unit of the targets."""
    found = metrics.meter(kind, metric, outputs.shape[1] if outputs.ndim > 1 else None, own)
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


def chance(
    kind: Kind,
    metric: Metric,
    targets: np.ndarray,
    outputs: int | None,
    own: Function | None = None,
    loss: str = "",
) -> Chance | None:
    """What predictions that know nothing of the inputs score: the best constant, and the targets in another order.

    The margin is two standard errors of that: of accuracy 2·std/√n over the examples' shares of the commonest class,
    which is 2·√(p(1 − p)/n) where an example has one label; else two standard deviations over predictions made of the
    targets in random order, for a regression shrunk to the correlation 1/√n that chance has. Of the losses
    ``cross_entropy`` and ``bce`` the best constant scores the entropy of the targets; K outputs that fit noise gain
    about K/2n on it, and the margin is four times that.

    Args:
        kind: of the task.
        metric: that is scored.
        targets: those of the validation sample.
        outputs: the number of classes, labels or targets.
        own: the user's metric.
        loss: the loss's name, where it is the metric.

    Returns:
        None where there is no telling: a task of kind ``other``, or another loss as the metric.
    """
    if kind == "other":
        return None
    y = torch.from_numpy(targets)
    if metric == LOSS:
        known_loss = loss in ("cross_entropy", "bce")
        return Chance(_entropy(kind, y), 2 * (outputs or 1) / len(y)) if known_loss else None
    if metric.name == "accuracy":
        right = _commonest(kind, y)
        return Chance(float(right.mean()), 2 * float(right.std(correction=0)) / len(right) ** 0.5)
    constants = [_scored(kind, metric, guess, y, outputs, own) for guess in _constants(kind, y, outputs)]
    shuffled = [_scored(kind, metric, guess, y, outputs, own) for guess in _shuffled(kind, y, outputs)]
    known = [value for value in constants if value is not None]
    drawn = np.array([value for value in shuffled if value is not None])
    if len(drawn) < 2 or not known:
        return None
    return Chance(metric.best([*known, float(drawn.mean())]), 2 * float(drawn.std(ddof=1)))


def _commonest(kind: Kind, y: Tensor) -> Tensor:
    """Of each example, the share of its labels that are the commonest of all; examples without a label left out."""
    rows = y.reshape(len(y), -1)
    if kind == "classification":
        counted = rows != IGNORED
        right = rows == torch.bincount(rows[counted]).argmax()
        labels = counted.sum(1)
        return (right & counted).sum(1)[labels > 0].double() / labels[labels > 0]
    most = (rows.mean(0) > 0.5) if kind == "multilabel" else (rows.mean() > 0.5)
    return (rows == most.to(rows.dtype)).double().mean(1)


def _entropy(kind: Kind, y: Tensor) -> float:
    """In nats, of the classes, or the mean of that of the labels."""
    if kind == "classification":
        counts = torch.bincount(y[y != IGNORED].reshape(-1)).double()
        return float(torch.special.entr(counts / counts.sum()).sum())
    rows = y.reshape(len(y), -1).double()
    share = rows.mean(0) if kind == "multilabel" else rows.mean()
    return float((torch.special.entr(share) + torch.special.entr(1 - share)).mean())


def _scored(
    kind: Kind, metric: Metric, guess: Tensor, y: Tensor, outputs: int | None, own: Function | None
) -> float | None:
    try:
        meter = metrics.meter(kind, metric, outputs, own)
        meter.update(guess, y)
        value = meter.value()
    except (RequestError, ValueError, RuntimeError):
        return None
    return value if np.isfinite(value) else None


SURE = 10.0
"""The logit of a guess."""
MOST_CONSTANTS, SHUFFLES = 20, 100


def _constants(kind: Kind, y: Tensor, outputs: int | None) -> list[Tensor]:
    if kind == "classification":
        labels = torch.bincount(y[y != IGNORED].reshape(-1)).argsort(descending=True)[:MOST_CONSTANTS]
        return [_logits(torch.full_like(y, int(label)), outputs) for label in labels]
    if kind == "regression":
        return [y.mean(0).expand_as(y), y.median(0).values.expand_as(y)]
    return [torch.full_like(y, SURE), torch.full_like(y, -SURE)]


def _shuffled(kind: Kind, y: Tensor, outputs: int | None) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(SHUFFLES):
        other = y[torch.randperm(len(y), generator=generator)]
        sure = torch.rand(other.shape, generator=generator)  # without ties, as logits of a network are
        if kind == "classification":
            found.append(_logits(other, outputs) * sure.unsqueeze(1))
        elif kind == "regression":
            found.append(y.mean(0) + (other - y.mean(0)) / len(y) ** 0.5)
        else:
            found.append((2 * other - 1) * SURE * sure)
    return found


def _logits(labels: Tensor, outputs: int | None) -> Tensor:
    hot = F.one_hot(labels.clamp(min=0), outputs or int(labels.max()) + 1).float() * SURE
    return hot.movedim(-1, 1)
