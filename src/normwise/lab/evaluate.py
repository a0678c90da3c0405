"""Loss and metric of a network on batches of data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from normwise.lab.batch import Batch
from normwise.lab.meters import joined
from normwise.lab.objective import Objective
from normwise.records.metric import LOSS

MOST_KEPT = 16 * 2**20
"""Outputs of a part that are kept: more than this many numbers are not."""


class Evaluated(NamedTuple):
    """What a part gave.

    Attributes:
        values: ``loss`` and the metric, by its name; the metric is NaN where the loss is not finite.
        outputs: all outputs, those of a regression in the unit of the target; None unless they were asked for and fit
            into one tensor.
        targets: what they are compared with.
    """

    values: dict[str, float]
    outputs: Tensor | None = None
    targets: Tensor | None = None


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; every module's mode is put back."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


def evaluate(network: nn.Module, objective: Objective, parts: Mapping[str, Iterable[Batch]]) -> dict[str, Any]:
    """Loss and metric on each part, in evaluation mode."""
    with evaluating(network):
        return {name: _evaluate(network, objective, batches).values for name, batches in parts.items()}


def evaluate_whole(network: nn.Module, objective: Objective, batches: Iterable[Batch]) -> Evaluated:
    """Loss, metric and outputs of one part, in evaluation mode."""
    with evaluating(network):
        return _evaluate(network, objective, batches, keep=True)


def _evaluate(network: nn.Module, objective: Objective, batches: Iterable[Batch], *, keep: bool = False) -> Evaluated:
    meter = None if objective.metric == LOSS else objective.meter()
    loss, count, kept = 0.0, 0, _Kept(MOST_KEPT if keep else 0)
    for batch in batches:
        outputs = batch.through(network)
        weight = objective.weight(batch.target, batch.size)
        loss += objective.loss(outputs, batch.target).item() * weight
        count += weight
        if meter is not None or keep:
            outputs = objective.in_own_unit(outputs)
        if meter is not None:
            meter.update(outputs, batch.target)
        kept.add(outputs, batch.target)
    values = {"loss": loss / count if count else float("nan")}
    if meter is not None:
        values[objective.metric.name] = meter.value() if math.isfinite(loss) else math.nan
    return Evaluated(values, *kept.joined())


class _Kept:
    """The outputs and targets of a part, up to ``most`` numbers."""

    def __init__(self, most: int) -> None:
        self._most, self._pairs = most, list[tuple[Any, Any]]()

    def add(self, outputs: Any, targets: Any) -> None:
        if not isinstance(outputs, Tensor) or not isinstance(targets, Tensor):
            self._most = 0
        else:
            self._most -= outputs.numel()
        if self._most <= 0:
            self._pairs.clear()
        else:
            self._pairs.append((outputs.cpu(), targets.cpu()))

    def joined(self) -> tuple[Tensor | None, Tensor | None]:
        if self._most <= 0 or not self._pairs:
            return None, None
        outputs, targets = (joined(list(column)) for column in zip(*self._pairs, strict=True))
        return (None, None) if outputs is None or targets is None else (outputs, targets)
