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

Mask = NDArray[np.bool_]


class Seen(NamedTuple):
    """What one forward showed.

    Attributes:
        units: of every nonlinearity; ``dead`` is None in each.
        dead: for each of them which units are dead in this batch; None where f' is 0 nowhere.
        norms: of every batch normalization.
        outputs: of the network.
        broken: the first layer with a value that is not finite; empty for the input; None where there is none.
    """

    units: tuple[Units, ...]
    dead: tuple[Mask | None, ...]
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


class Input(NamedTuple):
    """An activation's input, as it was before the activation."""

    kind: _Kind
    u: Tensor


class Measures:
    """What is measured in one forward."""

    def __init__(self) -> None:
        self._numbers: list[Tensor] = []
        self._order: list[_Measured | _Norm | list[tuple[int, str]] | tuple[int, int]] = []
        self._kept: dict[_Kind, list[tuple[_Unit, Tensor, Tensor]]] = {}
        self._checks: dict[Any, list[tuple[int, str, Tensor]]] = {}
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
        kept = tensor.detach() if tensor.numel() <= SMALL else tensor.detach().mul(0).sum()
        self._keep(kept)
        key = (kept.shape, kept.dtype, kept.device)
        self._checks.setdefault(key, []).append((self._calls, layer, kept))

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

    def output(self, y: Tensor) -> None:
        """Measure the network's output."""
        y = promoted(y.detach())
        y = y if y.ndim else y.reshape(1)
        self._order.append((len(y), y.numel()))
        self._numbers += [*_moments(y.unsqueeze(0)), *_spread(y.unsqueeze(0))]

    def overwritten(self, tensor: Any) -> None:
        """Measure what is kept, where a call is about to overwrite it."""
        if not isinstance(tensor, Tensor) or _memory(tensor) in self._memory:
            self.flush()

    def flush(self) -> None:
        """Measure what is kept."""
        for kind, rows in self._kept.items():
            self._activations(kind, rows)
        for checks in self._checks.values():
            zeros = torch.stack([tensor for _, _, tensor in checks]).mul_(0)  # 0·∞ and 0·NaN are NaN
            self._numbers.append(zeros.flatten(1).sum(1) if zeros.ndim > 1 else zeros)
            self._order.append([(place, layer) for place, layer, _ in checks])
        self._kept, self._checks, self._memory, self._elements = {}, {}, set(), 0

    def _keep(self, *tensors: Tensor) -> None:
        self._elements += sum(tensor.numel() for tensor in tensors)
        if self._elements > MOST:
            self.flush()
        self._memory.update(map(_memory, tensors))

    def _activations(self, kind: _Kind, rows: list[tuple[_Unit, Tensor, Tensor]]) -> None:
        u, y = (_with_units(promoted(_together([row[place] for row in rows]))) for place in (1, 2))  # type: ignore[misc]
        dims = [dim for dim in range(1, u.ndim) if dim != (kind.axis % (u.ndim - 1)) + 1]
        self._numbers += [*_moments(u), *_spread(y), _live(kind, y).sum(dims).flatten()]
        if kind.steep is not None:
            self._numbers.append(_outside(u, kind.steep).sum(dims).flatten())
        self._order.append(_Measured(kind, [row[0] for row in rows]))

    def numbers(self) -> list[Tensor]:
        """What was measured, to be read by ``read``."""
        return self._numbers

    def read(self, taken: Taken) -> Seen:
        """What was measured, as plain values."""
        return _Reader(taken).seen(self._order)


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _together(tensors: Sequence[Tensor]) -> Tensor:
    return tensors[0].unsqueeze(0) if len(tensors) == 1 else torch.stack(tensors)  # type: ignore[arg-type]


def _with_units(x: Tensor) -> Tensor:
    return x if x.ndim > 2 else x.unsqueeze(2)


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of each tensor, and √Σ(x − mean)²."""
    x = x.flatten(1)
    mean = x.mean(1, keepdim=True)
    return mean.view(-1), torch.linalg.vector_norm(x - mean, dim=1)


def _spread(y: Tensor) -> tuple[Tensor, Tensor]:
    """With ȳ the mean over the examples: √Σ(y − ȳ)² and √Σȳ², the latter over one example."""
    center = y.mean(1, keepdim=True)
    between = torch.linalg.vector_norm((y - center).flatten(1), dim=1)
    return between, torch.linalg.vector_norm(center.flatten(1), dim=1)


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
        self._units: dict[int, tuple[Units, Mask | None]] = {}
        self._broken: dict[int, str] = {}

    def seen(self, order: Sequence[Any]) -> Seen:
        norms, outputs = [], None
        for each in order:
            if isinstance(each, _Measured):
                self._read_units(each)
            elif isinstance(each, _Norm):
                norms.append(self._norm(each))
            elif isinstance(each, list):
                self._read_checks(each)
            else:
                outputs = self._output(*each)
        found = [self._units[place] for place in sorted(self._units)]
        broken = self._broken[min(self._broken)] if self._broken else None
        return Seen(tuple(unit for unit, _ in found), tuple(mask for _, mask in found), tuple(norms), outputs, broken)

    def _read_units(self, measured: _Measured) -> None:
        kind, count = measured.kind, len(measured.units)
        size = math.prod(kind.shape)
        units = kind.shape[kind.axis] if len(kind.shape) > 1 else 1
        means, norms, between, centers = (self._taken.next(count) for _ in range(4))
        spreads = _spreads(between, centers, kind.shape[0]).tolist()
        live = self._taken.next(count * units).reshape(count, units)
        zero = (1 - live.sum(1) / size).tolist()
        dead = live == 0 if kind.what in FLAT else None
        saturated = self._saturated(count, units, size // units) if kind.steep is not None else [None] * count
        stds = (norms / math.sqrt(size)).tolist()
        for row, unit in enumerate(measured.units):
            mean, std = float(means[row]), stds[row]
            value = Units(unit.layer, unit.what, mean, std, saturated[row], None, zero[row], units, spreads[row])
            self._units[unit.place] = (value, None if dead is None else dead[row])
            if not math.isfinite(mean):
                self._broken[unit.place] = unit.source

    def _saturated(self, count: int, units: int, values: int) -> list[float | None]:
        outside = self._taken.next(count * units).reshape(count, units)
        shares = np.where(np.isnan(outside), np.nan, (outside / values + 1) / 2 > SATURATED).mean(1)
        found: list[float | None] = shares.tolist()
        return found

    def _read_checks(self, checks: list[tuple[int, str]]) -> None:
        for (place, layer), finite in zip(checks, np.isfinite(self._taken.next(len(checks))).tolist(), strict=True):
            if not finite:
                self._broken[place] = layer

    def _norm(self, norm: _Norm) -> Norm:
        mean, deviation = self._taken.next(norm.channels), self._taken.next(norm.channels)
        if not norm.tracks:
            return Norm(norm.layer, norm.training, norm.values, None, None, True)
        running_mean, running_var = self._taken.next(norm.channels), self._taken.next(norm.channels)
        with np.errstate(all="ignore"):
            gap = np.abs(mean - running_mean) / np.sqrt(running_var + norm.eps)
            ratio = np.abs(np.log2((deviation**2 / norm.values + norm.eps) / (running_var + norm.eps)))
        finite = bool(np.isfinite(running_mean).all() and np.isfinite(running_var).all())
        return Norm(norm.layer, norm.training, norm.values, float(gap.max()), float(ratio.max()), finite)

    def _output(self, examples: int, size: int) -> Outputs:
        mean, norm, between, center = (self._taken.next(1) for _ in range(4))
        return Outputs(float(mean[0]), float(norm[0]) / math.sqrt(size), _spreads(between, center, examples).item())


def _spreads(between: Numbers, centers: Numbers, examples: int) -> Numbers:
    """√(Σ(y − ȳ)²/Σy²), where Σy² = Σ(y − ȳ)² + N·Σȳ² over one example; NaN for a single example."""
    whole = np.hypot(between, math.sqrt(examples) * centers)
    if examples < 2:
        return np.full_like(whole, np.nan)
    return np.divide(between, whole, out=np.zeros_like(whole), where=whole != 0)
