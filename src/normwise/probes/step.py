"""One recorded step: its forward, its gradients and its update, as tensors until it is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from normwise.nn.kinds import linear_maps
from normwise.probes.forward import Forward
from normwise.probes.quantities import Found
from normwise.probes.tensors import Numbers, Taken, add_, flat, joined, negated, norms, own_parameter, promoted
from normwise.probes.watched import Weights

ROUNDED = 1e-4  # of the largest element of a gradient
SMALL = 1 << 16  # elements of all weights that are copied


class Maps:
    """The linear maps of a network whose weights are known."""

    def __init__(self, network: nn.Module) -> None:
        every = [(name, module, own_parameter(module, "weight")) for name, module in linear_maps(network)]
        found = [(name, module, weight) for name, module, weight in every if weight is not None]
        self.names = [name for name, _, _ in found]
        self.weights = [weight for _, _, weight in found]
        self.sizes = [weight.numel() for weight in self.weights]
        self._is_transposed = [isinstance(module, nn.modules.conv._ConvTransposeNd) for _, module, _ in found]
        self.outputs = [
            weight.shape[1 if transposed else 0]
            for weight, transposed in zip(self.weights, self._is_transposed, strict=True)
        ]
        types = {(weight.dtype, weight.device) for weight in self.weights}
        self.elements = sum(self.sizes)
        self.are_small = self.elements <= SMALL and len(types) == 1

    def rows(self, place: int, sizes: Tensor) -> Tensor:
        """Σ|∂loss/∂w| over each row of some |∂loss/∂W|, which is 0 where each element is: (K, outputs)."""
        if self._is_transposed[place]:  # (inputs, outputs/groups, …)
            sizes = sizes.transpose(1, 2)
        return sizes.sum(2) if sizes.ndim == 3 else sizes.flatten(2).sum(2)

    def alike(self, place: int, values: Tensor, rounded: float = 0.0) -> Tensor:
        """Whether the rows of a map's values, two at least, are all the same, but for what was rounded."""
        rows = values.transpose(0, 1) if self._is_transposed[place] else values
        return ((rows - rows[:1]).abs() <= rounded * rows.abs().max()).all() & (len(rows) > 1)


class Step(ABC):
    """A step that is recorded.

    Attributes:
        number: of the step, from 1.
        forward: of its first batch; None before it.
        found: what is found of that; None before it.
        trains: whether a module was in training mode in it.
        ended: whether the loop has called ``step``.
        rate: the learning rate; None without an optimizer.
        evaluating: modules that were in evaluation mode.
        given: what the network was called with, where that is looked at.
        learned: whether each weight requires a gradient.
    """

    def __init__(self, number: int, maps: Maps) -> None:
        self.number, self.maps = number, maps
        self.forward: Forward | None = None
        self.found: Found | None = None
        self.trains, self.ended = False, False
        self.rate: float | None = None
        self.evaluating: tuple[str, ...] = ()
        self.given: Any = None
        self.is_updated = False
        self.with_gradient: tuple[int, ...] | None = None
        self.alike: list[Tensor] = []
        self.learned = [weight.requires_grad for weight in maps.weights]
        with torch.no_grad():
            self._keep_weights()
            if number == 1:
                self.alike = [maps.alike(place, each).to(each.dtype) for place, each in enumerate(maps.weights)]

    @property
    def has_gradients(self) -> bool:
        """Whether the gradients were measured."""
        return self.with_gradient is not None

    @torch.no_grad()
    def gradients(self) -> None:
        """Measure the gradients as they are."""
        found = [(place, weight.grad) for place, weight in enumerate(self.maps.weights)]
        kept = [(place, grad) for place, grad in found if grad is not None and grad.layout is torch.strided]
        self.with_gradient = tuple(place for place, _ in kept)
        self._keep_gradients([grad for _, grad in kept])
        for place, grad in kept if self.alike else ():
            self.alike[place] = self.alike[place] * self.maps.alike(place, grad, ROUNDED)

    @torch.no_grad()
    def after_update(self) -> None:
        """Measure the update."""
        if not self.is_updated:
            self.is_updated = True
            self._keep_updates()

    @abstractmethod
    def _keep_weights(self) -> None: ...

    @abstractmethod
    def _keep_gradients(self, gradients: list[Tensor]) -> None: ...

    @abstractmethod
    def _keep_updates(self) -> None: ...

    def read(self, taken: Taken, order: Sequence[str]) -> tuple[Weights, ...]:
        """What was measured of the linear maps: those of ``order`` first, then those that were not called."""
        maps, places = self.maps, self.with_gradient or ()
        weights = taken.next(len(maps.names)).tolist()
        updates: list[float | None] = [None] * len(maps.names)
        if self.is_updated:
            updates = taken.next(len(maps.names)).tolist()
        gradients = dict(zip(places, taken.next(len(places)).tolist(), strict=True))
        alike = taken.next(len(self.alike)).astype(bool).tolist() or [False] * len(maps.names)
        rows = [maps.outputs[place] for place in places]
        zero = dict(zip(places, _zeros(taken.next(sum(rows)), rows), strict=True))
        found = {
            name: Weights(
                name,
                weights[place],
                gradients.get(place),
                updates[place],
                size,
                zero.get(place),
                alike[place],
                self.learned[place],
            )
            for place, (name, size) in enumerate(zip(maps.names, maps.sizes, strict=True))
        }
        return tuple(found[name] for name in dict.fromkeys([*order, *found]) if name in found)


class LargeStep(Step):
    """A step of a network with many weights, which are measured one by one and at once."""

    def _keep_weights(self) -> None:
        self._before, self._weights = negated(self.maps.weights), norms(self.maps.weights)
        self._updates: list[Tensor] = []
        self._gradients: list[Tensor] = []
        self._rows: list[Tensor] = []

    def _keep_gradients(self, gradients: list[Tensor]) -> None:
        self._gradients = norms(gradients)
        sizes = torch._foreach_abs([promoted(grad) for grad in gradients]) if gradients else ()
        places = self.with_gradient or ()
        self._rows = [self.maps.rows(place, size[None])[0] for place, size in zip(places, sizes, strict=True)]

    def _keep_updates(self) -> None:
        add_(self._before, self.maps.weights)
        self._updates, self._before = norms(self._before), []

    def numbers(self) -> Tensor:
        """What was measured, to be read by ``read``."""
        scalars = [*self._weights, *self._updates, *self._gradients, *self.alike]
        return joined([torch.stack(scalars), *self._rows]) if scalars else torch.empty(0)


class SmallStep(Step):
    """A step of a network with few weights, which are copied, and measured together with those of other steps."""

    def _keep_weights(self) -> None:
        self.before = flat(self.maps.weights)
        self.gradient = self.after = self.before[:0]

    def _keep_gradients(self, gradients: list[Tensor]) -> None:
        if gradients:
            self.gradient = flat(gradients)

    def _keep_updates(self) -> None:
        self.after = flat(self.maps.weights)


def begun(number: int, maps: Maps) -> Step:
    """A step that begins."""
    return SmallStep(number, maps) if maps.are_small else LargeStep(number, maps)


def measured(steps: Sequence[Step]) -> list[tuple[list[Step], Tensor]]:
    """Steps with the numbers that ``read`` takes, a row for each."""
    found: list[tuple[list[Step], Tensor]] = []
    for (maps, *_), group in groupby(steps, key=_alike):
        own = list(group)
        if maps.are_small:
            found.append((own, _together([step for step in own if isinstance(step, SmallStep)], maps)))
        else:
            found += [([step], step.numbers()[None]) for step in own if isinstance(step, LargeStep)]
    return found


def _alike(step: Step) -> tuple[Maps, Any, bool, bool]:
    return step.maps, step.with_gradient, step.is_updated, bool(step.alike)


@torch.no_grad()
def _together(steps: list[SmallStep], maps: Maps) -> Tensor:
    """What was kept of steps that are alike, measured."""
    first = steps[0]
    places = first.with_gradient or ()
    before = promoted(torch.stack([step.before for step in steps]))
    gradient = promoted(torch.stack([step.gradient for step in steps]))
    numbers = _norms(torch.split(before, maps.sizes, 1))
    if first.is_updated:
        after = promoted(torch.stack([step.after for step in steps]))
        numbers += _norms(torch.split(after.sub_(before), maps.sizes, 1))
    sizes = [maps.sizes[place] for place in places]
    gradients = torch.split(gradient, sizes, 1) if places else ()
    numbers += _norms(gradients)
    numbers += [each.reshape(1, 1) for each in first.alike]
    for place, each in zip(places, torch.split(gradient.abs_(), sizes, 1) if places else (), strict=True):
        numbers.append(maps.rows(place, each.view(len(steps), *maps.weights[place].shape)))
    return torch.cat(numbers, dim=1)


def _norms(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [torch.linalg.vector_norm(each, dim=1, keepdim=True) for each in tensors]


def _zeros(values: Numbers, lengths: Sequence[int]) -> list[float]:
    """The share of zeros in each of several arrays that lie one behind the other."""
    if not lengths:
        return []
    starts = np.cumsum([0, *lengths[:-1]])
    counts: list[float] = (np.add.reduceat(values == 0, starts, dtype=float) / lengths).tolist()
    return counts
