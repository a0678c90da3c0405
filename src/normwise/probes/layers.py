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
from normwise.probes.tensors import Taken
from normwise.probes.watched import Norm, Outputs, Units

SMALL = 1 << 14  # elements of a tensor that is copied
MOST = 1 << 20  # elements that are kept

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


class Measures:
    """Measures forwards, one after the other."""

    def __init__(self) -> None:
        self.elements = 0
        self._found = Found()
        self._kept: dict[tuple[type, Quantity], list[tuple[Call, tuple[Tensor, ...]]]] = {}
        self._measured: list[tuple[Quantity, list[Call]]] = []
        self._numbers: list[Tensor] = []
        self._calls = 0

    def begin(self) -> Found:
        """Begin a forward: what is found of it, complete as soon as ``read`` was called."""
        self._found, self._calls = Found(), 0
        return self._found

    def before(self, what: str, args: tuple[Any, ...], kwargs: dict[str, Any], axis: int, *, copied: bool) -> Given:
        """An activation's input; ``copied`` where it is about to be overwritten."""
        u: Tensor = args[0] if args else kwargs["input"]
        bounds = steep(what, args, kwargs), alive(what, args, kwargs)
        kind = Activation(tuple(u.shape), u.dtype, u.device, axis, what, *bounds)
        u = u.detach()
        return Given(kind, u.clone() if copied or u.numel() <= SMALL else u)

    def after(self, layer: str, source: str, given: Given, y: Tensor) -> None:
        """Measure an activation; ``source`` is the layer that made its input."""
        self._calls += 1
        y = y.detach()
        small = y.numel() <= SMALL
        call = Call(self._found, self._calls, layer, source)
        self._add(given.activation, call, given.u, y.clone() if small else y, small=small)

    def check(self, layer: str, tensor: Tensor) -> None:
        """See whether all elements of a layer's output, or of the input, are finite."""
        self._calls += 1
        small = tensor.numel() <= SMALL
        kind = Value(tuple(tensor.shape), tensor.dtype, tensor.device)
        tensor = tensor.detach()
        self._add(kind, Call(self._found, self._calls, layer, layer), tensor.clone() if small else tensor, small=small)

    def normalized(self, layer: str, module: Any, x: Tensor) -> None:
        """Measure the input of a batch normalization, before its statistics move."""
        self._calls += 1
        statistics = [getattr(module, name, None) for name in ("running_mean", "running_var")]
        own = [each.detach().clone() for each in statistics if each is not None]
        tracks = len(own) == len(statistics)
        axis = getattr(module, "channel_dim", 1) % x.ndim if x.ndim > 1 else 0
        training = bool(module.training) or not tracks
        kind = Normalized(tuple(x.shape), x.dtype, x.device, axis, training, module.eps, tracks)
        call = Call(self._found, self._calls, layer, layer)
        small = x.numel() <= SMALL
        x = x.detach()
        self._add(kind, call, x.clone() if small else x, *(own if tracks else []), small=small)

    def output(self, y: Tensor, source: str) -> None:
        """Measure the network's output, which the layer ``source`` made."""
        self._calls += 1
        small = y.numel() <= SMALL
        kind = Output(tuple(y.shape) or (1,), y.dtype, y.device)
        y = y.detach()
        self._add(kind, Call(self._found, self._calls, source, source), y.clone() if small else y, small=small)

    def _add(self, kind: Quantity, call: Call, *tensors: Tensor, small: bool) -> None:
        if small:
            self._kept.setdefault((type(kind), kind), []).append((call, tensors))
            self.elements += sum(tensor.numel() for tensor in tensors)
            if self.elements > MOST:
                self.flush()
        else:
            self._measure(kind, [(call, tensors)])

    @torch.no_grad()
    def flush(self) -> None:
        """Measure what is kept."""
        for (_, kind), rows in self._kept.items():
            self._measure(kind, rows)
        self._kept, self.elements = {}, 0

    def _measure(self, kind: Quantity, rows: Sequence[tuple[Call, tuple[Tensor, ...]]]) -> None:
        self._numbers += kind.measured([tensors for _, tensors in rows])
        self._measured.append((kind, [call for call, _ in rows]))

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


def seen(found: Found) -> Seen:
    """What one forward showed, after ``Measures.read``."""
    units = tuple(found.units[place] for place in sorted(found.units))
    broken = found.broken[min(found.broken)] if found.broken else None
    return Seen(units, found.dead, tuple(found.norms[place] for place in sorted(found.norms)), found.outputs, broken)
