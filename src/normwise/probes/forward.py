"""Watching one forward of a network: every module's call, and the activations that are called as functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from normwise.ops.tracing import innermost_function_mode
from normwise.probes.calls import Calls, tensors
from normwise.probes.functions import ACTIVATIONS, TRANSPARENT, kind_of, overwrites
from normwise.probes.layers import Measures
from normwise.probes.tensors import is_measurable
from normwise.probes.watched import Call

UNIT_AXES = {"linear": -1, "embedding": -1, "recurrent": -1, "attention": -1, "conv": 1, "batch_norm": 1}
"""The axis of the features behind a module of a kind."""

FIRST = 2
"""Forwards whose functions are watched in any case."""

AGAIN = 8
"""Each so many forwards functions are watched again, as a network may call others."""

_UNKNOWN = object()


OUTPUT = "output"
"""The layer of an output that a function makes behind the last module."""

FAST = (nn.TransformerEncoder, nn.TransformerEncoderLayer, nn.MultiheadAttention)
"""Modules that have a fast path in evaluation."""


class Part(NamedTuple):
    """A module of the network.

    Attributes:
        name: its dotted name.
        kind: as in ``Call``.
        counts: whether its calls are calls of their own.
        watched: whether its calls are watched; those of containers that only call others are not.
        has_fast_path: whether, in evaluation and with nothing to learn, it computes all in one call of its own kernel.
    """

    name: str
    kind: str
    counts: bool
    watched: bool
    has_fast_path: bool


def parts(model: nn.Module) -> dict[nn.Module, Part]:
    """Every module of a network with what it is."""
    found = {}
    for name, module in model.named_modules():
        kind = kind_of(module)
        leaf = next(module.children(), None) is None
        counts = (leaf or kind != "other") and kind not in ("activation", "metric")
        counts = counts and not isinstance(module, TRANSPARENT)
        watched = type(module) not in (*TRANSPARENT, nn.Sequential)
        found[module] = Part(name, kind, counts, watched, isinstance(module, FAST))
    return found


class Activation(NamedTuple):
    """What a module of an activation computes of its first argument, with further arguments of the function."""

    what: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    in_place: bool


class Activations:
    """The activations that forwards called: where modules alone call them, functions need not be watched.

    Attributes:
        known: what the modules compute; None for nothing that is measured.
        elsewhere: whether an activation was called otherwise.
    """

    def __init__(self) -> None:
        self.known: dict[nn.Module, Activation | None] = {}
        self.elsewhere = False
        self._forwards = 0

    def next(self) -> bool:
        """Whether the functions of the next forward have to be watched: of the first ones and now and then of all."""
        self._forwards += 1
        return self.elsewhere or self._forwards <= FIRST or self._forwards % AGAIN == 0


class Watching(partial[Any]):
    """A module's forward while it is watched; where a module is copied or pickled meanwhile, the copy has its own."""

    @property
    def __wrapped__(self) -> Any:
        """The forward itself, whose signature this has."""
        return self.args[-1]

    def __reduce__(self) -> Any:
        return itemgetter(0), (self.args[-1:],)


class Forward(TorchFunctionMode):
    """Watches from ``begin`` to ``end``. Activations are seen as functions, which their modules call too.

    Args:
        parts: the network's modules.
        activations: those that earlier forwards called.
        measures: what measures it.
        calls: where each call is told; None after the first forward.
    """

    def __init__(
        self, parts: Mapping[nn.Module, Part], activations: Activations, measures: Measures, calls: Calls | None
    ) -> None:
        super().__init__()
        self._measures = measures
        self.order: dict[str, None] = {}
        self._parts, self._calls = parts, calls
        self._activations, self._functions = activations, activations.next() or calls is not None
        self._within: list[tuple[Activation, Any, Any]] = []
        self._stack: list[tuple[nn.Module, Part, str]] = []
        self._names: Counter[str] = Counter()
        self._pending: tuple[Any, str] = (None, "")
        self._axis = 1
        self._last: Any = None
        self._own: list[tuple[dict[str, Any], Any]] = []
        self._attached = ExitStack()

    @property
    def calls(self) -> tuple[Call, ...]:
        """Those that were told."""
        return () if self._calls is None else tuple(self._calls.found)

    def begin(self, model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Attach everything, just before the network's own forward."""
        self._stack = [(model, self._parts[model], "")]
        for tensor in tensors((args, kwargs)):
            self._check("", tensor)
        self._attached.callback(self._unwrap)
        for module, part in self._parts.items():
            if part.watched:
                self._own.append((module.__dict__, module.__dict__.get("forward")))
                module.__dict__["forward"] = Watching(self._through, module, part, module.forward)
        if self._functions:
            self._attached.enter_context(self)

    def _unwrap(self) -> None:
        for attributes, own in self._own:
            if type(attributes.get("forward")) is not Watching:  # the network has given itself another one meanwhile
                continue
            if own is None:
                del attributes["forward"]
            else:
                attributes["forward"] = own
        self._own.clear()

    def when_over(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when everything is taken off."""
        self._attached.callback(callback)

    def end(self, outputs: Any) -> None:
        """Take everything off, just after the network's own forward; without outputs, the last call's are measured."""
        self._attached.close()
        outputs = self._last if outputs is None else outputs
        found = next((tensor for tensor in tensors(outputs) if is_measurable(tensor) and tensor.numel()), None)
        if found is None:
            self._flush()
        else:
            source = self._claimed(found) or OUTPUT
            self._flush()
            self._measures.output(found, source)
        self._last = None
        self._stack.clear()
        if self._calls is not None:
            self._calls.forget()
        self._measures.end()

    def _through(self, module: nn.Module, part: Part, forward: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """A module's forward, which is watched: quicker than hooks, which each module would look for."""
        if part.kind == "activation":
            return self._through_activation(module, part, forward, args, kwargs)
        layer = self._named(part.name) if part.counts else ""
        self._stack.append((module, part, layer))
        if part.kind == "batch_norm":
            x: Any = args[0] if args else kwargs.get("input")
            if is_measurable(x) and x.numel():
                self._measures.normalized(layer, module, x)
        if part.has_fast_path and not module.training:
            with self._unseen(module):
                output = forward(*args, **kwargs)
        else:
            output = forward(*args, **kwargs)
        while self._stack and self._stack.pop()[0] is not module:  # what raised, and was caught
            pass
        if len(self._stack) == 1:
            self._last = output
        if part.counts:
            self._flush()
            self._pending = (output, layer)
            self._axis = UNIT_AXES.get(part.kind, self._axis)
            if part.kind in ("linear", "conv"):
                self.order[part.name] = None
            if self._calls is not None:
                self._calls.module(layer, part.kind, module, (args, kwargs), output)
        return output

    def _through_activation(
        self, module: nn.Module, part: Part, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if self._functions:
            self._stack.append((module, part, ""))
            self._within.clear()
            output = forward(*args, **kwargs)
            while self._stack and self._stack.pop()[0] is not module:
                pass
            self._learn(module, args, output)
        else:
            known = self._activations.known.get(module, _UNKNOWN)
            if known is _UNKNOWN:
                self._activations.elsewhere = True
            if not isinstance(known, Activation) or not args or not _has_values(args[0]):
                output = forward(*args, **kwargs)
            else:
                layer = self._named(part.name)
                source = self._claimed(args[0]) or layer
                given = self._measures.before(
                    known.what, (args[0], *known.args), known.kwargs, self._axis, copied=known.in_place
                )
                output = forward(*args, **kwargs)
                self._measures.after(layer, source, given, output)
        if len(self._stack) == 1:
            self._last = output
        return output

    def _learn(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Note what a module of an activation called, where that is one activation of its argument, or none."""
        known = self._activations.known
        if not self._within:
            known[module] = None
        elif len(self._within) == 1 and args and self._within[0][1] is args[0] and self._within[0][2] is output:
            known[module] = self._within[0][0]
        else:
            self._activations.elsewhere = True
        self._within.clear()

    @contextmanager
    def _unseen(self, module: nn.Module) -> Iterator[None]:
        """See no functions where a module has nothing to learn: with a mode active it would leave its fast path."""
        learns = any(parameter.requires_grad for parameter in module.parameters())
        if learns or innermost_function_mode() is not self:
            yield
            return
        self.__exit__(None, None, None)  # type: ignore[no-untyped-call]
        try:
            yield
        finally:
            self.__enter__()  # type: ignore[no-untyped-call]

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call ``func``, and measure it where it is an activation."""
        kwargs = kwargs or {}
        what = ACTIVATIONS.get(func)
        if what is not None:
            return self._activated(func, what, args, kwargs)
        output = func(*args, **kwargs)
        if self._calls is not None and self._stack:
            part = self._stack[-1][1]
            self._calls.function(
                func, part.kind, lambda name: self._named(_below(part.name, name)), args, kwargs, output
            )
        return output

    def _activated(self, func: Any, what: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        u: Any = args[0] if args else kwargs.get("input")
        if not self._stack or not _has_values(u):
            return func(*args, **kwargs)
        module, part, _ = self._stack[-1]
        own = part.kind == "activation"
        if part.kind == "metric" or isinstance(module, nn.Tanhshrink):  # calls tanh, which is not what it computes
            return func(*args, **kwargs)
        layer = self._named(part.name if own else _below(part.name, what))
        source = self._claimed(u) or layer
        call = None
        if self._calls is not None:
            call = self._calls.before(layer, "activation", type(module).__name__ if own else what, (u,))
        in_place = overwrites(func, args, kwargs)
        given = self._measures.before(what, args, kwargs, self._axis, copied=in_place)
        output = func(*args, **kwargs)
        if own:
            further = {name: value for name, value in kwargs.items() if name != "input"}
            self._within.append((Activation(what, args[1:], further, in_place), u, output))
        else:
            self._activations.elsewhere = True
        self._measures.after(layer, source, given, output)
        if self._calls is not None and call is not None:
            self._calls.add(call, output)
        return output

    def _named(self, base: str) -> str:
        self._names[base] += 1
        return base if self._names[base] == 1 else f"{base}#{self._names[base]}"

    def _claimed(self, tensor: Tensor) -> str:
        """The layer that made a tensor just now, which need not be checked again; empty where none did."""
        output, layer = self._pending
        if output is not tensor:
            return ""
        self._pending = (None, "")
        return layer

    def _flush(self) -> None:
        """Check the output of the last module, which no activation took."""
        output, layer = self._pending
        self._pending = (None, "")
        for tensor in tensors(output):
            self._check(layer, tensor)

    def _check(self, layer: str, tensor: Tensor) -> None:
        if is_measurable(tensor):
            self._measures.check(layer, tensor)


def _has_values(value: Any) -> bool:
    return is_measurable(value) and value.ndim > 0 and value.numel() > 0


def _below(module: str, name: str) -> str:
    return f"{module}.{name}" if module else name
