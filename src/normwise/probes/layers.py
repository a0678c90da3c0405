"""Measuring activations, batch normalizations and outputs of forwards: tensors first, values when they are read.

Small tensors are copied, and those of one shape are measured together, also those of several forwards: that takes as
many calls as one of them alone. Shapes: K tensors of N examples, C units and any positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from normwise.probes.functions import alive, steep
from normwise.probes.quantities import Activation, Call, Found, Normalized, Output, Quantity, Value
from normwise.probes.tensors import Taken, joined
from normwise.probes.watched import Norm, Outputs, Units

SMALL = 1 << 14  # elements of a tensor that is copied
MOST = 1 << 20  # elements that are kept
MANY = 1 << 17  # elements that are measured at the end of a forward, while they are in the cache
FIRST = 2  # forwards whose small tensors are copied in any case
AGAIN = 8  # each so many forwards

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


class Given(NamedTuple):
    """An activation's input, as it was before the activation."""

    activation: Activation
    u: Tensor


class _Row(NamedTuple):
    """A call, its tensors or copies of them, the tensors themselves, and how often each was written to by then."""

    call: Call
    tensors: tuple[Tensor, ...]
    originals: tuple[Tensor, ...]
    versions: tuple[int, ...]

    def is_overwritten(self) -> bool:
        return any(each._version != old for each, old in zip(self.originals, self.versions, strict=True))


class Measures:
    """Measures forwards, one after the other.

    Small tensors are copied at once in the first forwards and now and then, and always where a forward overwrote one of
    them later; else at the end of the forward.
    """

    def __init__(self) -> None:
        self.elements = 0
        self._found = Found()
        self._kept: dict[tuple[type, Quantity], list[_Row]] = {}
        self._rows: dict[tuple[type, Quantity], list[_Row]] = {}
        self._own = self._forwards = 0
        self._copies, self._overwrites = True, False
        self._measured: list[tuple[Quantity, list[Call]]] = []
        self._numbers: list[Tensor] = []
        self._calls = 0

    def begin(self) -> Found:
        """Begin a forward: what is found of it, complete as soon as ``read`` was called."""
        self._found, self._calls, self._rows, self._own = Found(), 0, {}, 0
        self._forwards += 1
        self._copies = self._overwrites or self._forwards <= FIRST or self._forwards % AGAIN == 0
        return self._found

    @torch.no_grad()
    def end(self) -> None:
        """End a forward: measure its small tensors while they are in the cache, or copy them where they are few."""
        rows, self._rows, many = self._rows, {}, self._own > MANY
        for key, found in rows.items():
            lost = any(row.is_overwritten() for row in found)
            if lost:
                self._overwrites = True
            kept = found if self._copies or not lost else [row for row in found if not row.is_overwritten()]
            if many:
                self._measure(key[1], kept)
            else:
                own = self._kept.setdefault(key, [])
                own += (_Row(row.call, row.tensors if self._copies else _copies(row.tensors), (), ()) for row in kept)
        self.elements += 0 if many else self._own
        self._own = 0
        if self.elements > MOST:
            self.flush()

    def before(self, what: str, args: tuple[Any, ...], kwargs: dict[str, Any], axis: int, *, copied: bool) -> Given:
        """An activation's input; ``copied`` where it is about to be overwritten."""
        u: Tensor = args[0] if args else kwargs["input"]
        bounds = steep(what, args, kwargs), alive(what, args, kwargs)
        kind = Activation(tuple(u.shape), u.dtype, u.device, axis, what, *bounds)
        u = u.detach()
        return Given(kind, u.clone() if copied else u)

    def after(self, layer: str, source: str, given: Given, y: Tensor) -> None:
        """Measure an activation; ``source`` is the layer that made its input."""
        self._calls += 1
        self._add(given.activation, Call(self._found, self._calls, layer, source), given.u, y.detach())

    def check(self, layer: str, tensor: Tensor) -> None:
        """See whether all elements of a layer's output, or of the input, are finite."""
        self._calls += 1
        kind = Value(tuple(tensor.shape), tensor.dtype, tensor.device)
        self._add(kind, Call(self._found, self._calls, layer, layer), tensor.detach())

    def normalized(self, layer: str, module: Any, x: Tensor) -> None:
        """Measure the input of a batch normalization, before its statistics move."""
        self._calls += 1
        statistics = [getattr(module, name, None) for name in ("running_mean", "running_var")]
        own = [each.detach().clone() for each in statistics if each is not None]
        tracks = len(own) == len(statistics)
        axis = getattr(module, "channel_dim", 1) % x.ndim if x.ndim > 1 else 0
        training = bool(module.training) or not tracks
        kind = Normalized(tuple(x.shape), x.dtype, x.device, axis, training, module.eps, tracks)
        self._add(kind, Call(self._found, self._calls, layer, layer), x.detach(), *(own if tracks else []))

    def output(self, y: Tensor, source: str) -> None:
        """Measure the network's output, which the layer ``source`` made."""
        self._calls += 1
        kind = Output(tuple(y.shape) or (1,), y.dtype, y.device)
        self._add(kind, Call(self._found, self._calls, source, source), y.detach())

    def _add(self, kind: Quantity, call: Call, *tensors: Tensor) -> None:
        if tensors[0].numel() > SMALL:
            self._measure(kind, [_Row(call, tensors, (), ())])
            return
        kept = _copies(tensors) if self._copies else tensors
        row = _Row(call, kept, tensors, tuple(each._version for each in tensors))
        self._rows.setdefault((type(kind), kind), []).append(row)
        self._own += sum(each.numel() for each in tensors)
        if self._own > MOST:
            self.end()

    @torch.no_grad()
    def flush(self) -> None:
        """Measure what is kept."""
        for (_, kind), rows in self._kept.items():
            self._measure(kind, rows)
        self._kept, self.elements = {}, 0

    def _measure(self, kind: Quantity, rows: Sequence[_Row]) -> None:
        if rows:
            self._numbers.append(joined(kind.measured([row.tensors for row in rows])))
            self._measured.append((kind, [row.call for row in rows]))

    def numbers(self) -> list[Tensor]:
        """Hand over what was measured, to be read by ``read``."""
        self.flush()
        numbers, self._numbers = self._numbers, []
        return numbers

    def read(self, taken: Taken) -> None:
        """Tell each forward what was measured in it."""
        with np.errstate(all="ignore"):
            for kind, calls in self._measured:
                kind.read(taken, calls)
        self._measured.clear()


def _copies(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(each.clone() for each in tensors)


def seen(found: Found) -> Seen:
    """What one forward showed, after ``Measures.read``."""
    units = tuple(found.units[place] for place in sorted(found.units))
    broken = found.broken[min(found.broken)] if found.broken else None
    return Seen(units, found.dead, tuple(found.norms[place] for place in sorted(found.norms)), found.outputs, broken)
