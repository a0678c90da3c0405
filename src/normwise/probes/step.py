"""One recorded step: its forward, its gradients and its update, as tensors until it is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from normwise.nn.kinds import linear_maps
from normwise.probes.forward import Forward
from normwise.probes.tensors import Numbers, Taken, add_, negated, norms, promoted
from normwise.probes.watched import Weights


class Maps:
    """The linear maps of a network whose weights are known."""

    def __init__(self, network: nn.Module) -> None:
        found = [(name, module) for name, module in linear_maps(network) if type(module.weight) is nn.Parameter]
        self.names = [name for name, _ in found]
        self.weights = [module.weight for _, module in found]
        self.sizes = [weight.numel() for weight in self.weights]
        self._is_transposed = [isinstance(module, nn.modules.conv._ConvTransposeNd) for _, module in found]

    def rows(self, place: int, sizes: Tensor) -> Tensor:
        """For each output of a map Σ|∂loss/∂w| over its row of |∂loss/∂w|, which is 0 where each element is."""
        if self._is_transposed[place]:  # (inputs, outputs/groups, …)
            sizes = sizes.transpose(0, 1)
        return sizes.sum(1) if sizes.ndim == 2 else sizes.flatten(1).sum(1)

    def alike(self, place: int) -> Tensor:
        """Whether the rows of a map, two at least, are all the same."""
        weight = self.weights[place].transpose(0, 1) if self._is_transposed[place] else self.weights[place]
        return (weight == weight[:1]).all() & (len(weight) > 1)


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
    """

    def __init__(self, number: int, maps: Maps) -> None:
        self.number, self._maps = number, maps
        self.forward: Forward | None = None
        self.trains, self.ended = False, False
        self.rate: float | None = None
        self.evaluating: tuple[str, ...] = ()
        self.given: Any = None
        self._before: list[Tensor] = []
        self._weights: list[Tensor] = []
        self._alike: list[Tensor] = []
        self._updates: list[Tensor] = []
        self._with_gradient: list[int] | None = None
        self._gradients: list[Tensor] = []
        self._rows: list[Tensor] = []

    @property
    def has_gradients(self) -> bool:
        """Whether the gradients were measured."""
        return self._with_gradient is not None

    @property
    def is_updated(self) -> bool:
        """Whether the update was measured."""
        return not self._before

    @torch.no_grad()
    def before_update(self) -> None:
        """Measure the weights, and keep them until the update."""
        self._before, self._weights = negated(self._maps.weights), norms(self._maps.weights)
        if self.number == 1:
            self._alike = [self._maps.alike(place).to(norm.dtype) for place, norm in enumerate(self._weights)]

    @torch.no_grad()
    def gradients(self) -> None:
        """Measure the gradients as they are."""
        found = [(place, weight.grad) for place, weight in enumerate(self._maps.weights)]
        kept = [(place, grad) for place, grad in found if grad is not None and grad.layout is torch.strided]
        self._with_gradient = [place for place, _ in kept]
        self._gradients = norms([grad for _, grad in kept])
        sizes = torch._foreach_abs([promoted(grad) for _, grad in kept]) if kept else ()
        self._rows = [self._maps.rows(place, size) for place, size in zip(self._with_gradient, sizes, strict=True)]

    @torch.no_grad()
    def after_update(self) -> None:
        """Measure the update."""
        if self._before and not self._updates:
            add_(self._before, self._maps.weights)
            self._updates, self._before = norms(self._before), []

    def numbers(self) -> list[Tensor]:
        """What was measured, to be read by ``read``."""
        scalars = [*self._weights, *self._updates, *self._gradients, *self._alike]
        return [*([torch.stack(scalars)] if scalars else []), *self._rows]

    def read(self, taken: Taken, order: Sequence[str]) -> tuple[Weights, ...]:
        """What was measured of the linear maps: those of ``order`` first, then those that were not called."""
        maps, places = self._maps, self._with_gradient or []
        weights = taken.next(len(maps.names)).tolist()
        updates: list[float | None] = taken.next(len(self._updates)).tolist() or [None] * len(maps.names)
        gradients = dict(zip(places, taken.next(len(places)).tolist(), strict=True))
        alike = taken.next(len(self._alike)).astype(bool).tolist() or [False] * len(maps.names)
        rows = [len(row) for row in self._rows]
        zero = dict(zip(places, _zeros(taken.next(sum(rows)), rows), strict=True))
        found = {
            name: Weights(
                name, weights[place], gradients.get(place), updates[place], size, zero.get(place), alike[place]
            )
            for place, (name, size) in enumerate(zip(maps.names, maps.sizes, strict=True))
        }
        return tuple(found[name] for name in dict.fromkeys([*order, *found]) if name in found)


def _zeros(values: Numbers, lengths: Sequence[int]) -> list[float]:
    """The share of zeros in each of several arrays that lie one behind the other."""
    if not lengths:
        return []
    starts = np.cumsum([0, *lengths[:-1]])
    counts: list[float] = (np.add.reduceat(values == 0, starts, dtype=float) / lengths).tolist()
    return counts
