"""What predictions that know nothing of the inputs score."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from normwise.errors import RequestError
from normwise.lab import meters
from normwise.lab.meters import Function
from normwise.lab.task import Chance, Kind
from normwise.records.metric import IGNORED, LOSS, Metric


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
        meter = meters.meter(kind, metric, outputs, own)
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
