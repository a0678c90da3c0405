"""One recorded step: its forward, its gradients and its update, as tensors until it is read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from normwise.nn.kinds import linear_maps
from normwise.probes.forward import Forward
from normwise.probes.tensors import Numbers, add_, joined, negated, norms, numbers
from normwise.probes.watched import Weights


class Maps:
    """The linear maps of a network whose weights are known."""

    def __init__(self, network: nn.Module) -> None:
        found = [(name, module) for name, module in linear_maps(network) if type(module.weight) is nn.Parameter]
        self.names = [name for name, _ in found]
        self.weights = [module.weight for _, module in found]
        self._is_transposed = [isinstance(module, nn.modules.conv._ConvTransposeNd) for _, module in found]

    def rows(self, place: int, gradient: Tensor) -> Tensor:
        """For each output of a map whether the gradient of its row is other than 0."""
        if self._is_transposed[place]:  # (inputs, outputs/groups, …)
            gradient = gradient.transpose(0, 1)
        return torch.any(gradient.flatten(1), dim=1)


class Step:
    """A step that is recorded.

    Attributes:
        number: of the step, from 1.
        forward: of its first batch; None before it.
        trains: whether a module was in training mode in it.
        ended: whether the loop has called ``step``.
        rate: the learning rate; None without an optimizer.
        evaluating: modules that were in evaluation mode.
        given: what the network was called with, where that is looked at.
        awaits_gradients: whether they are computed within the optimizer's step, by a closure.
    """

    def __init__(self, number: int, maps: Maps) -> None:
        self.number, self._maps = number, maps
        self.forward: Forward | None = None
        self.trains, self.ended = False, False
        self.rate: float | None = None
        self.evaluating: tuple[str, ...] = ()
        self.given: Any = None
        self.awaits_gradients = False
        self._before: list[Tensor] = []
        self._weights: list[Tensor] = []
        self._updates: list[Tensor] = []
        self._with_gradient: list[int] | None = None
        self._gradients: list[Tensor] = []
        self._rows: list[Tensor] = []

    @property
    def has_weights(self) -> bool:
        """Whether the weights before the update were measured."""
        return bool(self._weights)

    @property
    def is_updated(self) -> bool:
        """Whether the update was measured."""
        return bool(self._updates)

    @torch.no_grad()
    def before_update(self) -> None:
        """Measure the weights, and keep them until the update."""
        self._before, self._weights = negated(self._maps.weights), norms(self._maps.weights)

    @torch.no_grad()
    def gradients(self) -> None:
        """Measure the gradients as they are."""
        found = [(place, weight.grad) for place, weight in enumerate(self._maps.weights)]
        kept = [(place, grad) for place, grad in found if grad is not None and grad.layout is torch.strided]
        self._with_gradient = [place for place, _ in kept]
        self._gradients = norms([grad for _, grad in kept])
        self._rows = [self._maps.rows(place, grad) for place, grad in kept]

    @torch.no_grad()
    def after_update(self) -> None:
        """Measure the update."""
        if self._before and not self._updates:
            add_(self._before, self._maps.weights)
            self._updates, self._before = norms(self._before), []

    def read(self, order: Sequence[str]) -> tuple[Weights, ...]:
        """What was measured of the linear maps: those of ``order`` first, then those that were not called."""
        places = self._with_gradient or []
        values = iter(numbers(self._weights + self._updates + self._gradients).tolist())
        sizes = self._maps.weights
        weights = [next(values) for _ in self._weights] or norms_now(sizes)
        updates: list[float | None] = [next(values) for _ in self._updates] or [None] * len(sizes)
        gradients = dict(zip(places, values, strict=True))
        zero = dict(zip(places, _shares(self._rows), strict=True))
        found = {
            name: Weights(
                name, weights[place], gradients.get(place), updates[place], sizes[place].numel(), zero.get(place)
            )
            for place, name in enumerate(self._maps.names)
        }
        return tuple(found[name] for name in dict.fromkeys([*order, *found]) if name in found)


@torch.no_grad()
def norms_now(weights: Sequence[Tensor]) -> list[float]:
    """The norms of weights as they are."""
    found: list[float] = numbers(norms(weights)).tolist()
    return found


def _shares(rows: list[Tensor]) -> list[float]:
    """The share of False in each row."""
    whole: Numbers = joined(rows)
    ends = np.cumsum([0, *(row.numel() for row in rows)])
    return [1 - float(whole[start:end].mean()) for start, end in pairwise(ends)]
