"""Measuring activations, batch normalizations and outputs of one forward: tensors first, values when they are read.

Small tensors of one shape are kept and measured together, which takes as many calls as one of them alone. Shapes:
K tensors of N examples, C units and any positions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from normwise.probes.functions import FLAT, Interval, alive, steep
from normwise.probes.tensors import Numbers, Taken, promoted
from normwise.probes.watched import Norm, Outputs, Units

SATURATED = 0.95  # of the examples and positions
SMALL = 1 << 14  # elements of a tensor that is kept
MOST = 1 << 20  # elements that are kept
ON_HOST = 1 << 12  # elements of one example, up to which means over the examples are brought to the host

Mask = NDArray[np.bool_]


class Seen(NamedTuple):
    """What one forward showed.

    Attributes:
        units: of every nonlinearity; ``dead`` is None in each.
        dead: which units are dead in this batch, one row for each of some layers that were measured together; none of
            those whose f' is 0 nowhere.
        norms: of every batch normalization.
        outputs: of the network.
        broken: the first layer with a value that is not finite; empty for the input; None where there is none.
    """

    units: tuple[Units, ...]
    dead: dict[tuple[str, ...], Mask]
    norms: tuple[Norm, ...]
    outputs: Outputs | None
    broken: str | None


class _Unit(NamedTuple):
    """A nonlinearity: its place among all calls, and the layer that made its input."""

    place: int
    layer: str
    what: str
    source: str


class _Kind(NamedTuple):
    """What activations have in common that are measured together."""

    shape: tuple[int, ...]
    axis: int
    what: str
    steep: Interval | None
    alive: Interval | None
    dtype: torch.dtype
    device: torch.device


class _Measured(NamedTuple):
    """What was measured of activations together, and where that begins among all numbers."""

    kind: _Kind
    units: list[_Unit]


class _Norm(NamedTuple):
    layer: str
    training: bool
    values: int
    channels: int
    eps: float
    tracks: bool


class _Check(NamedTuple):
    place: int
    layer: str


class _Output(NamedTuple):
    place: int
    source: str
    shape: tuple[int, ...]


class Input(NamedTuple):
    """An activation's input, as it was before the activation."""

    kind: _Kind
    u: Tensor


class Measures:
    """What is measured in one forward."""

    def __init__(self) -> None:
        self._numbers: list[Tensor] = []
        self._order: list[_Measured | _Norm | _Check | _Output] = []
        self._kept: dict[_Kind, list[tuple[_Unit, Tensor, Tensor]]] = {}
        self._memory: set[int] = set()
        self._elements = 0
        self._calls = 0

    def before(self, what: str, args: tuple[Any, ...], kwargs: dict[str, Any], axis: int, *, copied: bool) -> Input:
        """An activation's input; ``copied`` where it is about to be overwritten."""
        u: Tensor = args[0] if args else kwargs["input"]
        if copied:
            self.overwritten(u)
        kind = _Kind(
            tuple(u.shape), axis, what, steep(what, args, kwargs), alive(what, args, kwargs), u.dtype, u.device
        )
        return Input(kind, u.detach().clone() if copied else u.detach())

    def after(self, layer: str, source: str, given: Input, y: Tensor) -> None:
        """Measure an activation; ``source`` is the layer that made its input."""
        self._calls += 1
        unit = _Unit(self._calls, layer, given.kind.what, source)
        row = (unit, given.u, y.detach())
        if y.numel() > SMALL:
            self._activations(given.kind, [row])
            return
        self._keep(given.u, y)
        self._kept.setdefault(given.kind, []).append(row)

    def check(self, layer: str, tensor: Tensor) -> None:
        """See whether all elements of a layer's output, or of the input, are finite."""
        self._calls += 1
        zeros = tensor.detach().mul(0)  # 0·∞ and 0·NaN are NaN
        self._numbers.append(zeros.sum().view(1))
        self._order.append(_Check(self._calls, layer))

    def normalized(self, layer: str, module: Any, x: Tensor) -> None:
        """Measure the input of a batch normalization, before its statistics move."""
        x = promoted(x.detach())
        axis = getattr(module, "channel_dim", 1) % x.ndim if x.ndim > 1 else 0
        dims = [dim for dim in range(x.ndim) if dim != axis]
        center = x.mean(dims, keepdim=True)
        self._numbers += [center.reshape(-1), torch.linalg.vector_norm(x - center, dim=dims)]
        statistics = [getattr(module, name, None) for name in ("running_mean", "running_var")]
        own = [each.detach().clone() for each in statistics if each is not None]
        tracks = len(own) == len(statistics)
        self._numbers += own if tracks else []
        channels = x.shape[axis]
        training = bool(module.training) or not tracks
        self._order.append(_Norm(layer, training, x.numel() // channels, channels, module.eps, tracks))

    def output(self, y: Tensor, source: str) -> None:
        """Measure the network's output, which the layer ``source`` made."""
        self._calls += 1
        y = promoted(y.detach())
        y = y if y.ndim else y.reshape(1)
        self._order.append(_Output(self._calls, source, tuple(y.shape)))
        self._numbers += _summary(y.unsqueeze(0))

    def overwritten(self, tensor: Any) -> None:
        """Measure what is kept, where a call is about to overwrite it."""
        if not isinstance(tensor, Tensor) or _memory(tensor) in self._memory:
            self.flush()

    def flush(self) -> None:
        """Measure what is kept."""
        for kind, rows in self._kept.items():
            self._activations(kind, rows)
        self._kept, self._memory, self._elements = {}, set(), 0

    def _keep(self, *tensors: Tensor) -> None:
        self._elements += sum(tensor.numel() for tensor in tensors)
        if self._elements > MOST:
            self.flush()
        self._memory.update(map(_memory, tensors))

    def _activations(self, kind: _Kind, rows: list[tuple[_Unit, Tensor, Tensor]]) -> None:
        if len(rows) == 1:
            u, y = (_with_units(promoted(tensor.unsqueeze(0))) for tensor in rows[0][1:])
            self._numbers += [*_summary(u), *_summary(y)]
        else:
            both = _with_units(promoted(torch.stack([row[1] for row in rows] + [row[2] for row in rows])))
            self._numbers += _summary(both)
            u, y = both[: len(rows)], both[len(rows) :]
        dims = [dim for dim in range(1, u.ndim) if dim != (kind.axis % (u.ndim - 1)) + 1]
        self._numbers.append(_live(kind, y).sum(dims).flatten())
        if kind.steep is not None:
            self._numbers.append(_outside(u, kind.steep).sum(dims).flatten())
        self._order.append(_Measured(kind, [row[0] for row in rows]))

    def numbers(self) -> list[Tensor]:
        """Hand over what was measured, to be read by ``read``."""
        numbers, self._numbers = self._numbers, []
        return numbers

    def read(self, taken: Taken) -> Seen:
        """What was measured, as plain values."""
        with np.errstate(all="ignore"):
            return _Reader(taken).seen(self._order)


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _with_units(x: Tensor) -> Tensor:
    return x if x.ndim > 2 else x.unsqueeze(2)


def _summary(x: Tensor) -> list[Tensor]:
    """Of each of K tensors √Σ(x − x̄)², with x̄ its mean over the examples, and what the reader needs of x̄."""
    center = x.mean(1, keepdim=True)
    between = torch.linalg.vector_norm((x - center).flatten(1), dim=1)
    center = center.flatten(1)
    if center.shape[1] <= ON_HOST:
        return [between, center.flatten()]
    mean = center.mean(1, keepdim=True)
    norms = [torch.linalg.vector_norm(each, dim=1) for each in (center - mean, center)]
    return [between, mean.flatten(), *norms]


def _outside(x: Tensor, bounds: Interval) -> Tensor:
    """1 outside of the interval, −1 inside."""
    return ((x - bounds.center) if bounds.center else x).abs().sub_(bounds.radius).sign_()


def _live(kind: _Kind, y: Tensor) -> Tensor:
    """1 where the output is other than 0 and the slope too; 0 elsewhere."""
    signs = y.sign()
    if kind.what not in ("relu", "relu6"):
        signs = signs.abs_()
    if kind.alive is not None:
        inside = (y - kind.alive.center).abs_().neg_().add_(kind.alive.radius).sign_()
        signs = torch.minimum(signs, inside).clamp_(min=0)
    return signs


class _Reader:
    """Takes numbers in the order in which they were put."""

    def __init__(self, taken: Taken) -> None:
        self._taken = taken
        self._units: dict[int, Units] = {}
        self._dead: dict[tuple[str, ...], Mask] = {}
        self._broken: dict[int, str] = {}

    def seen(self, order: Sequence[Any]) -> Seen:
        norms, outputs = [], None
        for each in order:
            if isinstance(each, _Measured):
                self._read_units(each)
            elif isinstance(each, _Norm):
                norms.append(self._norm(each))
            elif isinstance(each, _Check):
                self._find(each.place, each.layer, self._taken.next(1).item())
            else:
                outputs = self._output(each)
        units = tuple(self._units[place] for place in sorted(self._units))
        broken = self._broken[min(self._broken)] if self._broken else None
        return Seen(units, self._dead, tuple(norms), outputs, broken)

    def _read_units(self, measured: _Measured) -> None:
        kind, count = measured.kind, len(measured.units)
        size = math.prod(kind.shape)
        units = kind.shape[kind.axis] if len(kind.shape) > 1 else 1
        if count == 1:
            u, y = self._summary(1, kind.shape), self._summary(1, kind.shape)
        else:
            both = self._summary(2 * count, kind.shape)
            u, y = _Summary(*(each[:count] for each in both)), _Summary(*(each[count:] for each in both))
        means, stds, spreads = u.means.tolist(), u.stds.tolist(), y.spreads.tolist()
        live = self._taken.next(count * units).reshape(count, units)
        zero = (1 - live.sum(1) / size).tolist()
        if kind.what in FLAT:
            self._dead[tuple(unit.layer for unit in measured.units)] = live == 0
        saturated = self._saturated(count, units, size // units) if kind.steep is not None else [None] * count
        for row, unit in enumerate(measured.units):
            mean = means[row]
            self._units[unit.place] = Units(
                unit.layer, unit.what, mean, stds[row], saturated[row], None, zero[row], units, spreads[row]
            )
            self._find(unit.place, unit.source, mean)

    def _saturated(self, count: int, units: int, values: int) -> list[float | None]:
        outside = self._taken.next(count * units).reshape(count, units)
        shares = np.where(np.isnan(outside), np.nan, (outside / values + 1) / 2 > SATURATED).mean(1)
        found: list[float | None] = shares.tolist()
        return found

    def _find(self, place: int, layer: str, value: float) -> None:
        if not math.isfinite(value):
            self._broken[place] = layer

    def _norm(self, norm: _Norm) -> Norm:
        mean, deviation = self._taken.next(norm.channels), self._taken.next(norm.channels)
        if not norm.tracks:
            return Norm(norm.layer, norm.training, norm.values, None, None, True)
        running_mean, running_var = self._taken.next(norm.channels), self._taken.next(norm.channels)
        gap = np.abs(mean - running_mean) / np.sqrt(running_var + norm.eps)
        ratio = np.abs(np.log2((deviation**2 / norm.values + norm.eps) / (running_var + norm.eps)))
        finite = bool(np.isfinite(running_mean).all() and np.isfinite(running_var).all())
        return Norm(norm.layer, norm.training, norm.values, float(gap.max()), float(ratio.max()), finite)

    def _output(self, output: _Output) -> Outputs:
        found = Outputs(*(each.item() for each in self._summary(1, output.shape)))
        self._find(output.place, output.source, found.mean)
        return found

    def _summary(self, count: int, shape: tuple[int, ...]) -> _Summary:
        """What ``_summary`` measured: Σ(x − m)² = Σ(x − x̄)² + N·Σ(x̄ − m)² and Σx² = Σ(x − x̄)² + N·Σx̄²."""
        examples, of_one = shape[0], math.prod(shape[1:])
        between = self._taken.next(count)
        if of_one <= ON_HOST:
            centers = self._taken.next(count * of_one).reshape(count, of_one)
            means = centers.mean(1)
            deviations = np.sqrt(((centers - means[:, None]) ** 2).sum(1))
            norms = np.sqrt((centers**2).sum(1))
        else:
            means, deviations, norms = (self._taken.next(count) for _ in range(3))
        stds = np.hypot(between, math.sqrt(examples) * deviations) / math.sqrt(examples * of_one)
        whole = np.hypot(between, math.sqrt(examples) * norms)
        spreads = np.divide(between, whole, out=np.zeros_like(whole), where=whole != 0)
        return _Summary(means, stds, spreads if examples > 1 else np.full(count, math.nan))


class _Summary(NamedTuple):
    """Mean and deviation of some tensors, and the share of their root mean square that differs between examples."""

    means: Numbers
    stds: Numbers
    spreads: Numbers
