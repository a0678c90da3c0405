"""What is measured of an activation, a batch normalization, an output, or any value: numbers that are read later.

Each quantity is a key: calls with equal ones are measured together. Shapes: K tensors of N examples, C units and any
positions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from normwise.probes.functions import FLAT, Interval
from normwise.probes.tensors import Numbers, Taken, promoted
from normwise.probes.watched import Norm, Outputs, Units

SATURATED = 0.95  # of the examples and positions
ON_HOST = 1 << 12  # elements of one example, up to which means over the examples are brought to the host


class Found:
    """What was read of one forward.

    Attributes:
        units: of every nonlinearity, by its place among all calls.
        dead: which units are dead, for layers that were measured together.
        norms: of every batch normalization.
        outputs: of the network.
        broken: the layers with values that are not finite, by place.
    """

    def __init__(self) -> None:
        self.units: dict[int, Units] = {}
        self.dead: dict[tuple[str, ...], NDArray[np.bool_]] = {}
        self.norms: dict[int, Norm] = {}
        self.outputs: Outputs | None = None
        self.broken: dict[int, str] = {}


class Call(NamedTuple):
    """One call: of which forward, its place in it, its layer, and the layer that made what it was given."""

    found: Found
    place: int
    layer: str
    source: str

    def see(self, value: float) -> None:
        """Note a value that is not finite."""
        if not math.isfinite(value):
            self.found.broken[self.place] = self.source


class Quantity(Protocol):
    """What is measured of K calls together, and read in the same order."""

    def measured(self, rows: Sequence[tuple[Tensor, ...]]) -> list[Tensor]:
        """Vectors of numbers."""

    def read(self, taken: Taken, calls: Sequence[Call]) -> None:
        """Take those numbers, and tell the calls' forwards."""

    def __hash__(self) -> int: ...


class Value(NamedTuple):
    """Whether all elements are finite."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    def measured(self, rows: Sequence[tuple[Tensor, ...]]) -> list[Tensor]:
        """Σ 0·x, which is NaN where an x is not finite."""
        zeros = _stacked([x for (x,) in rows]).mul(0)
        return [zeros.unsqueeze(1).flatten(1).sum(1)]

    def read(self, taken: Taken, calls: Sequence[Call]) -> None:
        """See ``Quantity``."""
        for call, value in zip(calls, taken.next(len(calls)).tolist(), strict=True):
            call.see(value)


class Output(NamedTuple):
    """What a network puts out."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    def measured(self, rows: Sequence[tuple[Tensor, ...]]) -> list[Tensor]:
        """See ``_summary``."""
        return _summary(promoted(_stacked([y.reshape(self.shape) for (y,) in rows])))

    def read(self, taken: Taken, calls: Sequence[Call]) -> None:
        """See ``Quantity``."""
        for call, row in zip(calls, zip(*_read(taken, len(calls), self.shape), strict=True), strict=True):
            call.found.outputs = Outputs(*map(float, row))
            call.see(call.found.outputs.mean)


class Normalized(NamedTuple):
    """The input of a batch normalization beside its running statistics."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    axis: int
    training: bool
    eps: float
    tracks: bool

    def measured(self, rows: Sequence[tuple[Tensor, ...]]) -> list[Tensor]:
        """Each channel's mean and √Σ(x − x̄)², and the running statistics."""
        x = promoted(_stacked([x for x, *_ in rows]))
        dims = [dim + 1 for dim in range(len(self.shape)) if dim != self.axis]
        center = x.mean(dims, keepdim=True)
        deviation = torch.linalg.vector_norm(x - center, dim=dims)
        own = [_stacked(list(each)) for each in list(zip(*rows, strict=True))[1:]]
        return [each.flatten() for each in (center, deviation, *own)]

    def read(self, taken: Taken, calls: Sequence[Call]) -> None:
        """See ``Quantity``."""
        shape = len(calls), self.shape[self.axis]
        values = math.prod(self.shape) // shape[1]
        mean, deviation = (taken.next(math.prod(shape)).reshape(shape) for _ in range(2))
        gaps: list[Any] = [None] * len(calls)
        ratios = gaps
        finite: NDArray[np.bool_] = np.ones(len(calls), np.bool_)
        if self.tracks:
            running_mean, running_var = (taken.next(math.prod(shape)).reshape(shape) for _ in range(2))
            gaps = (np.abs(mean - running_mean) / np.sqrt(running_var + self.eps)).max(1).tolist()
            batch = deviation**2 / values + self.eps
            ratios = np.abs(np.log2(batch / (running_var + self.eps))).max(1).tolist()
            finite = np.asarray((np.isfinite(running_mean) & np.isfinite(running_var)).all(1))
        for call, gap, ratio, is_finite in zip(calls, gaps, ratios, finite.tolist(), strict=True):
            call.found.norms[call.place] = Norm(call.layer, self.training, values, gap, ratio, is_finite)


class Activation(NamedTuple):
    """An activation's input and output."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    axis: int
    what: str
    steep: Interval | None
    alive: Interval | None

    def measured(self, rows: Sequence[tuple[Tensor, ...]]) -> list[Tensor]:
        """See ``_summary``, and for each unit how many outputs are live, and inputs outside less those inside."""
        inputs, outputs = [u for u, _ in rows], [y for _, y in rows]
        if len(rows) == 1:
            u, y = (_with_units(promoted(each.unsqueeze(0))) for each in rows[0])
            numbers = [*_summary(u), *_summary(y)]
        else:
            both = _with_units(promoted(torch.stack(inputs + outputs)))
            numbers = _summary(both)
            u, y = both[: len(rows)], both[len(rows) :]
        dims = [dim for dim in range(1, u.ndim) if dim != (self.axis % (u.ndim - 1)) + 1]
        numbers.append(self._live(y).sum(dims).flatten())
        if self.steep is not None:
            numbers.append(_outside(u, self.steep).sum(dims).flatten())
        return numbers

    def _live(self, y: Tensor) -> Tensor:
        """1 where the output is other than 0 and the slope too; 0 elsewhere."""
        signs = y.sign()
        if self.what not in ("relu", "relu6"):
            signs = signs.abs_()
        if self.alive is not None:
            inside = (y - self.alive.center).abs_().neg_().add_(self.alive.radius).sign_()
            signs = torch.minimum(signs, inside).clamp_(min=0)
        return signs

    def read(self, taken: Taken, calls: Sequence[Call]) -> None:
        """See ``Quantity``."""
        count, size = len(calls), math.prod(self.shape)
        units = self.shape[self.axis] if len(self.shape) > 1 else 1
        if count == 1:
            u, y = _read(taken, 1, self.shape), _read(taken, 1, self.shape)
        else:
            both = _read(taken, 2 * count, self.shape)
            u, y = _Summary(*(each[:count] for each in both)), _Summary(*(each[count:] for each in both))
        live = taken.next(count * units).reshape(count, units)
        if self.what in FLAT:
            self._tell_dead(live == 0, calls)
        saturated: list[Any] = [None] * count
        if self.steep is not None:
            outside = taken.next(count * units).reshape(count, units)
            shares = np.where(np.isnan(outside), np.nan, (outside / (size // units) + 1) / 2 > SATURATED)
            saturated = shares.mean(1).tolist()
        zero = 1 - live.sum(1) / size
        columns = (u.means.tolist(), u.stds.tolist(), saturated, zero.tolist(), y.spreads.tolist())
        for call, mean, std, share, zeros, spread in zip(calls, *columns, strict=True):
            call.found.units[call.place] = Units(call.layer, self.what, mean, std, share, None, zeros, units, spread)
            call.see(mean)

    def _tell_dead(self, dead: NDArray[np.bool_], calls: Sequence[Call]) -> None:
        first = 0
        for _, group in groupby(calls, key=lambda call: id(call.found)):
            own = list(group)
            own[0].found.dead[tuple(call.layer for call in own)] = dead[first : first + len(own)]
            first += len(own)


class _Summary(NamedTuple):
    """Mean and deviation of some tensors, and the share of their root mean square that differs between examples."""

    means: Numbers
    stds: Numbers
    spreads: Numbers


def _stacked(tensors: list[Tensor]) -> Tensor:
    return tensors[0].unsqueeze(0) if len(tensors) == 1 else torch.stack(tensors)


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


def _read(taken: Taken, count: int, shape: tuple[int, ...]) -> _Summary:
    """What ``_summary`` measured: Σ(x − m)² = Σ(x − x̄)² + N·Σ(x̄ − m)² and Σx² = Σ(x − x̄)² + N·Σx̄²."""
    examples, of_one = shape[0], math.prod(shape[1:])
    between = taken.next(count)
    if of_one <= ON_HOST:
        centers = taken.next(count * of_one).reshape(count, of_one)
        means = centers.mean(1)
        deviations = np.sqrt(((centers - means[:, None]) ** 2).sum(1))
        norms = np.sqrt((centers**2).sum(1))
    else:
        means, deviations, norms = (taken.next(count) for _ in range(3))
    stds = np.hypot(between, math.sqrt(examples) * deviations) / math.sqrt(examples * of_one)
    whole = np.hypot(between, math.sqrt(examples) * norms)
    spreads = np.divide(between, whole, out=np.zeros_like(whole), where=whole != 0)
    return _Summary(means, stds, spreads if examples > 1 else np.full(count, math.nan))


def _outside(x: Tensor, bounds: Interval) -> Tensor:
    """1 outside of the interval, −1 inside."""
    return ((x - bounds.center) if bounds.center else x).abs().sub_(bounds.radius).sign_()
