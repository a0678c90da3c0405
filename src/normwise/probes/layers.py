"""Measuring activations, batch normalizations and outputs of one forward: tensors first, values when they are read."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from normwise.probes.functions import FLAT, Interval, steep
from normwise.probes.tensors import Numbers, joined, numbers, promoted
from normwise.probes.watched import Norm, Outputs, Units

SATURATED = 0.95  # of the examples and positions

Mask = NDArray[np.bool_]


class Seen(NamedTuple):
    """What one forward showed.

    Attributes:
        units: of every nonlinearity; ``dead`` is None in each.
        dead: which units are dead in this batch, of all nonlinearities one behind the other; False where f' is 0
            nowhere.
        norms: of every batch normalization.
        outputs: of the network.
        broken: the first layer with a value that is not finite; empty for the input; None where there is none.
    """

    units: tuple[Units, ...]
    dead: Mask
    norms: tuple[Norm, ...]
    outputs: Outputs | None
    broken: str | None


class _Unit(NamedTuple):
    """A nonlinearity: ``values`` are those of one unit, and ``source`` is the layer that made its input."""

    layer: str
    what: str
    source: str
    units: int
    values: int
    examples: int
    bounded: bool


class _Norm(NamedTuple):
    layer: str
    training: bool
    values: int
    channels: int
    eps: float
    tracks: bool


class Measures:
    """What is measured in one forward. What is kept between calls are scalars and one number per unit or channel."""

    def __init__(self) -> None:
        self._scalars: list[Tensor] = []
        self._vectors: list[Tensor] = []
        self._order: list[_Unit | _Norm | str] = []
        self._outputs: tuple[int, int] | None = None

    def before(self, what: str, u: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any], axis: int) -> _Before:
        """Measure an activation's input, which it may overwrite."""
        x = _with_units(promoted(u.detach()))
        self._moments(x)
        bounds = steep(what, args, kwargs)
        dims = [dim for dim in range(x.ndim) if dim != axis % x.ndim]
        return _Before(dims, None if bounds is None else _outside(x, bounds, dims))

    def after(self, unit: tuple[str, str, str], y: Tensor, before: _Before, bounds: Interval | None) -> None:
        """Measure an activation's output; ``unit`` is its layer, its name and the layer that made its input."""
        layer, what, source = unit
        y = _with_units(promoted(y.detach()))
        self._spread(y)
        self._vectors.append(_live(what, y, before.dims, bounds))
        if before.outside is not None:
            self._vectors.append(before.outside)
        units = self._vectors[-1].numel()
        self._order.append(_Unit(layer, what, source, units, y.numel() // units, len(y), before.outside is not None))

    def normalized(self, layer: str, module: Any, x: Tensor) -> None:
        """Measure the input of a batch normalization, before its statistics move."""
        x = promoted(x.detach())
        axis = getattr(module, "channel_dim", 1) % x.ndim if x.ndim > 1 else 0
        dims = [dim for dim in range(x.ndim) if dim != axis]
        center = x.mean(dims, keepdim=True)
        self._vectors += [center.reshape(-1), torch.linalg.vector_norm(x - center, dim=dims)]
        statistics = [getattr(module, name, None) for name in ("running_mean", "running_var")]
        own = [each.detach().clone() for each in statistics if each is not None]
        tracks = len(own) == len(statistics)
        self._vectors += own if tracks else []
        channels = x.shape[axis]
        training = bool(module.training) or not tracks
        self._order.append(_Norm(layer, training, x.numel() // channels, channels, module.eps, tracks))

    def output(self, y: Tensor) -> None:
        """Measure the network's output."""
        y = promoted(y.detach())
        y = y if y.ndim else y.reshape(1)
        self._outputs = (len(y), y.numel())
        self._moments(y)
        self._spread(y)

    def check(self, layer: str, tensor: Tensor) -> None:
        """See whether all elements of a layer's output, or of the input, are finite."""
        self._scalars.append(promoted(tensor.detach()).sum())
        self._order.append(layer)

    def _moments(self, x: Tensor) -> None:
        mean = x.mean()
        self._scalars += [mean, torch.linalg.vector_norm(x - mean)]

    def _spread(self, y: Tensor) -> None:
        center = y.mean(0)
        self._scalars += [torch.linalg.vector_norm(y - center), torch.linalg.vector_norm(center)]

    def seen(self) -> Seen:
        """What was measured, as plain values."""
        return _Reader(numbers(self._scalars), joined(self._vectors)).seen(self._order, self._outputs)


class _Before(NamedTuple):
    """The axes that are no units, and by how much more often a unit is outside of its steep interval than inside."""

    dims: list[int]
    outside: Tensor | None


def _with_units(x: Tensor) -> Tensor:
    return x if x.ndim > 1 else x.unsqueeze(1)


def _outside(x: Tensor, bounds: Interval, dims: list[int]) -> Tensor:
    signs = ((x - bounds.center) if bounds.center else x).abs().sub_(bounds.radius).sign_()
    return signs.sum(dims)


def _live(what: str, y: Tensor, dims: list[int], bounds: Interval | None) -> Tensor:
    """How often each unit's output is other than 0 and its slope too."""
    signs = y.sign()
    if what not in ("relu", "relu6"):
        signs = signs.abs_()
    if bounds is not None:
        inside = (y - bounds.center).abs_().neg_().add_(bounds.radius).sign_()
        signs = torch.minimum(signs, inside).clamp_(min=0)
    return signs.sum(dims)


class _Reader:
    """Takes numbers in the order in which they were put."""

    def __init__(self, scalars: Numbers, vectors: Numbers) -> None:
        self._scalars, self._vectors = iter(scalars.tolist()), vectors
        self._place = 0
        self._broken: str | None = None

    def seen(self, order: list[_Unit | _Norm | str], outputs: tuple[int, int] | None) -> Seen:
        units, norms, dead = [], [], [np.empty(0, bool)]
        for each in order:
            if isinstance(each, str):
                self._find(each, next(self._scalars))
            elif isinstance(each, _Unit):
                value, mask = self._unit(each)
                units.append(value)
                dead.append(mask)
            else:
                norms.append(self._norm(each))
        return Seen(tuple(units), np.concatenate(dead), tuple(norms), self._output(outputs), self._broken)

    def _vector(self, length: int) -> Numbers:
        self._place += length
        return self._vectors[self._place - length : self._place]

    def _find(self, layer: str, value: float) -> None:
        if self._broken is None and not math.isfinite(value):
            self._broken = layer

    def _unit(self, unit: _Unit) -> tuple[Units, Mask]:
        mean, norm, spread = next(self._scalars), next(self._scalars), self._spread(unit.examples)
        self._find(unit.source, norm)
        live = self._vector(unit.units)
        saturated = self._saturated(unit) if unit.bounded else None
        size = unit.units * unit.values
        mask = (live == 0) if unit.what in FLAT else np.zeros(unit.units, bool)
        zero = 1 - float(live.sum()) / size
        std = norm / math.sqrt(size)
        return Units(unit.layer, unit.what, mean, std, saturated, None, zero, unit.units, spread), mask

    def _saturated(self, unit: _Unit) -> float:
        share = (self._vector(unit.units) / unit.values + 1) / 2
        return math.nan if np.isnan(share).any() else float(np.count_nonzero(share > SATURATED)) / unit.units

    def _spread(self, examples: int) -> float:
        """√(Σ (y − ȳ)²/Σ y²), where Σ y² = Σ (y − ȳ)² + N·Σ ȳ²; NaN for a single example."""
        between, center = next(self._scalars), next(self._scalars)
        whole = math.hypot(between, math.sqrt(examples) * center)
        if examples < 2 or math.isnan(whole):
            return math.nan
        return between / whole if whole else 0.0

    def _norm(self, norm: _Norm) -> Norm:
        mean, deviation = self._vector(norm.channels), self._vector(norm.channels)
        if not norm.tracks:
            return Norm(norm.layer, norm.training, norm.values, None, None, True)
        running_mean, running_var = self._vector(norm.channels), self._vector(norm.channels)
        with np.errstate(all="ignore"):
            gap = np.abs(mean - running_mean) / np.sqrt(running_var + norm.eps)
            ratio = np.abs(np.log2((deviation**2 / norm.values + norm.eps) / (running_var + norm.eps)))
        finite = bool(np.isfinite(running_mean).all() and np.isfinite(running_var).all())
        return Norm(norm.layer, norm.training, norm.values, float(gap.max()), float(ratio.max()), finite)

    def _output(self, outputs: tuple[int, int] | None) -> Outputs | None:
        if outputs is None:
            return None
        examples, size = outputs
        mean, norm = next(self._scalars), next(self._scalars)
        return Outputs(mean, norm / math.sqrt(size), self._spread(examples))
