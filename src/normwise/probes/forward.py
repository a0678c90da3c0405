"""Watching one forward of a network: every module's call, and the activations that are called as functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from normwise.ops.tracing import is_transformed
from normwise.probes.calls import Calls, tensors
from normwise.probes.functions import ACTIVATIONS, TRANSPARENT, kind_of, overwrites
from normwise.probes.layers import Measures
from normwise.probes.watched import Call

UNIT_AXES = {"linear": -1, "embedding": -1, "recurrent": -1, "attention": -1, "conv": 1, "batch_norm": 1}
"""The axis of the features behind a module of a kind."""


class Part(NamedTuple):
    """A module of the network.

    Attributes:
        name: its dotted name.
        kind: as in ``Call``.
        counts: whether its calls are calls of their own.
        watched: whether its calls are watched; those of containers that only call others are not.
    """

    name: str
    kind: str
    counts: bool
    watched: bool


def parts(model: nn.Module) -> dict[nn.Module, Part]:
    """Every module of a network with what it is."""
    found = {}
    for name, module in model.named_modules():
        kind = kind_of(module)
        leaf = next(module.children(), None) is None
        counts = (leaf or kind != "other") and kind not in ("activation", "metric")
        counts = counts and not isinstance(module, TRANSPARENT)
        found[module] = Part(name, kind, counts, type(module) not in (*TRANSPARENT, nn.Sequential))
    return found


class Forward(TorchFunctionMode):
    """Watches from ``begin`` to ``end``. Activations are seen as functions, which their modules call too.

    Args:
        parts: the network's modules.
        measures: what measures it.
        calls: where each call is told; None after the first forward.
    """

    def __init__(self, parts: Mapping[nn.Module, Part], measures: Measures, calls: Calls | None) -> None:
        super().__init__()
        self._measures = measures
        self.order: dict[str, None] = {}
        self._parts, self._calls = parts, calls
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
                module.__dict__["forward"] = partial(self._through, module, part, module.forward)
        self._attached.enter_context(self)

    def _unwrap(self) -> None:
        for attributes, own in self._own:
            if own is None:
                attributes.pop("forward", None)
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
        found = next((tensor for tensor in tensors(outputs) if tensor.is_floating_point() and tensor.numel()), None)
        if found is None or not _is_plain(found):
            self._flush()
        else:
            source = self._claimed(found)
            self._flush()
            self._measures.output(found, source)
        self._last = None
        self._stack.clear()
        if self._calls is not None:
            self._calls.forget()

    def _through(self, module: nn.Module, part: Part, forward: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """A module's forward, which is watched: quicker than hooks, which each module would look for."""
        layer = self._named(part.name) if part.counts else ""
        self._stack.append((module, part, layer))
        if part.kind == "batch_norm":
            x: Any = args[0] if args else kwargs.get("input")
            if _is_plain(x) and x.numel():
                self._measures.normalized(layer, module, x)
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
        if not self._stack or not _is_plain(u) or not u.ndim or not u.numel() or is_transformed():
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
        given = self._measures.before(what, args, kwargs, self._axis, copied=overwrites(func, args, kwargs))
        output = func(*args, **kwargs)
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
        if _is_plain(tensor) and tensor.is_floating_point() and not is_transformed():
            self._measures.check(layer, tensor)


def _is_plain(value: Any) -> bool:
    """Whether it is a tensor, and no subclass that may do something else."""
    return type(value) is Tensor or type(value) is nn.Parameter


def _below(module: str, name: str) -> str:
    return f"{module}.{name}" if module else name
