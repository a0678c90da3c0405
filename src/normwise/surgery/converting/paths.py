"""Where the output of each module goes, in training and in evaluation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from functools import cached_property
from typing import Any

import torch
from torch import fx, nn

from normwise.surgery import example as example_
from normwise.surgery import graph, walk
from normwise.surgery.calls import sole_user
from normwise.surgery.optional import Ways, ways
from normwise.surgery.plain import has_hooks
from normwise.surgery.sites import certain, is_sequential


class Paths:
    """The calls of a network's forward in both modes, or the order in its ``Sequential`` where it cannot be traced.

    They are found when they are first asked for.

    Attributes:
        fixed: the modules that must stay as they are.
    """

    def __init__(self, network: nn.Module, fixed: Collection[nn.Module] = (), example: Any = None) -> None:
        self.network, self.fixed, self.places = network, fixed, walk.slots(network)
        self._given = () if example is None else example

    @cached_property
    def _ways(self) -> list[Ways]:
        """How the network may run in training and in evaluation, with gradients and without."""
        found = []
        for gradients in (True, False):
            with torch.set_grad_enabled(gradients):
                found += [ways(self.network, self._given, training=each, asked=False) for each in (True, False)]
        return found

    @cached_property
    def flows(self) -> list[graph.Flow]:
        """The traces in training and in evaluation, with gradients and without, in all ways that an example allows."""
        return [flow for each in self._ways for flow in each.flows]

    @cached_property
    def problem(self) -> str:
        """Why not all calls are known, empty where they are."""
        return next((each.problem for each in self._ways if each.problem), "")

    @cached_property
    def optional(self) -> list[str]:
        """The arguments that the traces do not take."""
        open_ends = example_.left_out(self.network, self._given)[1]
        return [*example_.fixed(self.network, self._given), *sorted(open_ends)]

    @cached_property
    def calls(self) -> dict[nn.Module, list[fx.Node]]:
        """For each module the nodes that call it, in all traces, as far as these are known."""
        found: dict[nn.Module, list[fx.Node]] = {}
        for flow in (*self.flows, *graph.trace_modes(self.network)) if self.problem else self.flows:
            for node in () if flow.graph is None else flow.graph.nodes:
                if node.op == "call_module" and node.target:  # and not the network itself
                    found.setdefault(self.network.get_submodule(str(node.target)), []).append(node)
        return found

    @cached_property
    def hidden(self) -> set[nn.Module]:
        """The modules inside one that the traces do not look into, which calls them as it likes."""
        return {inner for called in self.calls for inner in called.modules() if inner is not called}

    @cached_property
    def _chain(self) -> set[nn.Module]:
        """The ``Sequential`` modules that are certain to run as wholes."""
        return certain(self.network)

    @property
    def depends_on(self) -> str:
        """On what it depends which calls forward makes; empty where it always makes the same."""
        if self.optional:
            return f"optional arguments ({', '.join(self.optional)})"
        training, evaluation, *without_gradients = self.flows
        if not evaluation.is_like(training):
            return "self.training"
        return "" if all(each.is_like(training) for each in without_gradients) else "whether gradients are enabled"

    def after(self, module: nn.Module) -> list[nn.Module | None]:
        """For each place of a module the module that alone takes its output, None where that is none.

        It is called by the same module, so that what that one computes does not depend on which of the two does what.
        """
        if self.problem:
            places = self.places.get(module, [])
            return [_next(parent, key) if parent in self._chain else None for parent, key in places]
        users = [sole_user(node) for node in self.calls.get(module, [])]
        return [
            self.network.get_submodule(str(user.target))
            if user is not None and user.op == "call_module" and _caller(user) == _caller(node)
            else None
            for node, user in zip(self.calls.get(module, []), users, strict=True)
        ]

    def times(self, module: nn.Module) -> int:
        """How many places a module has: calls in both traces, or slots."""
        return len((self.places if self.problem else self.calls).get(module, ()))

    def followed(
        self, layers: Iterable[nn.Module], wanted: Callable[[nn.Module, nn.Module], bool]
    ) -> dict[nn.Module, set[nn.Module]]:
        """The layers that are always followed by modules that follow such layers only.

        What runs in such a layer's own place can be moved into the modules after it, and back.

        Args:
            layers: the layers to look at.
            wanted: ``wanted(layer, after)`` tells which modules may follow.

        Returns:
            For each such layer the modules after it.
        """
        found: dict[nn.Module, list[nn.Module]] = {}
        for layer in layers:
            after = [each for each in self.after(layer) if each is not None and self._may_change(each)]
            if 0 < len(after) == self.times(layer) and all(wanted(layer, each) for each in after):
                found[layer] = after
        while True:
            counts = Counter(each for after in found.values() for each in after)
            wrong = [layer for layer, after in found.items() if any(counts[each] != self.times(each) for each in after)]
            if not wrong:
                return {layer: set(after) for layer, after in found.items()}
            for layer in wrong:
                del found[layer]

    def _may_change(self, module: nn.Module) -> bool:
        return not has_hooks(module) and module not in self.hidden and module not in self.fixed


def _caller(node: fx.Node) -> list[str]:
    """The modules that a module was called in."""
    return list(node.meta["nn_module_stack"])[:-1]


def _next(parent: nn.Module, key: str) -> nn.Module | None:
    """The module that a ``Sequential`` runs after a child."""
    if not is_sequential(parent):
        return None
    keys = [each for each, child in parent._modules.items() if child is not None]
    rest = keys[keys.index(key) + 1 :]
    return parent._modules[rest[0]] if rest else None
