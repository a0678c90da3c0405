"""A traced network: its calls, and where in the tree of modules each was made."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from torch import fx, nn

from normwise.surgery import example as example_
from normwise.surgery import graph, walk
from normwise.surgery.inserting.observed import observe
from normwise.surgery.inserting.roles import Role, function_name, function_role, is_whole, module_role
from normwise.surgery.mode import Mode
from normwise.surgery.plain import replaced_forward
from normwise.surgery.sites import certain, is_sequential

Slot = tuple[str, str]
"""The dotted name of a ``Sequential`` and a child's own name in it."""


class Traced:
    """The calls of a network's forward in training, or where it cannot be traced on an example, and what each does.

    Attributes:
        network: the network.
        problem: why the network cannot be traced, or the trace is not that of the example; empty where it can.
        observed: whether the calls are those of the example, in evaluation mode.
        nodes: the calls in order.

    Args:
        network: the network.
        is_linear: which modules are linear maps.
        example: an input as it is called, or None.
        flow: the calls, where they were followed before.
    """

    def __init__(
        self,
        network: nn.Module,
        is_linear: Callable[[nn.Module], bool],
        example: Any = None,
        flow: graph.Flow | None = None,
    ) -> None:
        self.network = network
        self._is_linear = is_linear
        self.observed = False
        flow = self._followed(example) if flow is None else flow
        self.problem = flow.problem
        self._constants = flow.constants
        self.nodes: list[fx.Node] = [] if flow.graph is None else list(flow.graph.nodes)
        self._index = {node: index for index, node in enumerate(self.nodes)}
        self._modules = dict(self.network.named_modules(remove_duplicate=False))

    def _followed(self, example: Any) -> graph.Flow:
        """The calls in training, or on the example where these are not the same."""
        network, is_linear = self.network, self._is_linear
        fixed = _fixed(network, example)

        def whole(module: nn.Module) -> bool:
            return is_whole(module) or is_linear(module)

        flow = graph.trace(network, fixed, whole=whole, training=True)
        if _MADE in flow.problem:
            made = f"torch.fx cannot trace it: it makes a new tensor of {_symbolic(network, fixed)}"
            flow = flow._replace(problem=made)
        if example is not None:
            seen = observe(network, example, whole)
            evaluated = flow if flow.problem else graph.trace(network, fixed, whole=whole, training=False)
            if _modules_called(network, evaluated) != _modules_called(network, seen):
                self.observed = True
                return seen._replace(problem=flow.problem or _OTHERS)
        return flow

    def after(self, node: fx.Node) -> list[fx.Node]:
        """The calls that come after one."""
        return self.nodes[self._index[node] + 1 :]

    def module(self, node: fx.Node) -> nn.Module | None:
        """The module that is called; None for a function."""
        return self._modules[str(node.target)] if node.op == "call_module" else None

    def name(self, node: fx.Node) -> str:
        """The name of the function that is called, or of the module's class."""
        module = self.module(node)
        return function_name(node) if module is None else type(module).__name__

    def role(self, node: fx.Node) -> Role:
        """What a call does with the channels."""
        module = self.module(node)
        if module is None:
            return function_role(node) if node.op in ("call_function", "call_method", "output") else Role.UNKNOWN
        return Role.LINEAR if self._is_linear(module) else module_role(module)

    def is_dropout(self, node: fx.Node) -> bool:
        """Whether a call is dropout, or nothing at all."""
        module = self.module(node)
        if module is None:
            return "dropout" in function_name(node)
        return isinstance(module, (nn.Identity, nn.modules.dropout._DropoutNd))

    def calls(self, node: fx.Node) -> list[fx.Node]:
        """Every call of the module that a node calls."""
        return self.calls_of(self._modules[str(node.target)])

    def calls_of(self, module: nn.Module) -> list[fx.Node]:
        """Every call of a module."""
        return self._calls_of.get(module, [])

    @property
    def called(self) -> set[nn.Module]:
        """The modules that are called."""
        return set(self._calls_of)

    @cached_property
    def _calls_of(self) -> dict[nn.Module, list[fx.Node]]:
        found: dict[nn.Module, list[fx.Node]] = {}
        for node in self.nodes:
            if node.op == "call_module":
                found.setdefault(self._modules[str(node.target)], []).append(node)
        return found

    @cached_property
    def _slots(self) -> dict[nn.Module, list[walk.Slot]]:
        return walk.slots(self.network)

    def within(self, node: fx.Node) -> str:
        """The dotted name of the module whose forward makes a call."""
        names = [name for name, _ in node.meta.get("nn_module_stack", {}).values()]
        if node.op == "call_module":
            names = names[:-1]
        return names[-1] if names else ""

    def slot(self, node: fx.Node) -> Slot | None:
        """The slot in a ``Sequential`` that makes a call, and no other; None where there is none.

        A ``Sequential`` calls its children in order, so where it runs once the first call of a module is that of the
        module's first slot in it. One whose children forward also calls itself, as ``net[0]``, is not to be numbered
        anew, and neither is one of which only an example was seen, unless it is certain to run as a whole.
        """
        outer = self.within(node)
        sequential = self._modules[outer]
        if not is_sequential(sequential) or self._is_indexed(outer, sequential):
            return None
        if self.observed and sequential not in self._certain:
            return None
        keys = [key for key, child in sequential._modules.items() if child is self.module(node)]
        calls = [call for call in self.calls(node) if self.within(call) == outer]
        return (outer, keys[calls.index(node)]) if len(calls) == len(keys) else None

    def is_child(self, module: nn.Module) -> bool:
        """Whether a module is a child of a ``Sequential``."""
        return any(is_sequential(parent) for parent, _ in self._slots.get(module, ()))

    def are_neighbors(self, one: nn.Module, other: nn.Module) -> bool:
        """Whether each of two modules has one slot, and these follow each other in a ``Sequential``."""
        slots = [self._slots.get(module, []) for module in (one, other)]
        if [len(each) for each in slots] != [1, 1] or slots[0][0][0] is not slots[1][0][0]:
            return False
        children = list(slots[0][0][0].children())
        return is_sequential(slots[0][0][0]) and children.index(other) == children.index(one) + 1

    @cached_property
    def _certain(self) -> set[nn.Module]:
        return certain(self.network)

    def _is_indexed(self, name: str, sequential: nn.Module) -> bool:
        """Whether a child that is nowhere else is called by another forward than the ``Sequential``'s."""
        own = {child for child in sequential._modules.values() if child is not None and len(self._slots[child]) == 1}
        calls = [call for child in own for call in self._calls_of.get(child, ())]
        return any(self.within(call) != name for call in calls)

    def next_in(self, slot: Slot) -> tuple[str, nn.Module] | None:
        """The child of a ``Sequential`` after a slot, with its own name."""
        children = list(self._modules[slot[0]]._modules.items())
        index = [key for key, _ in children].index(slot[1])
        following = [(key, child) for key, child in children[index + 1 :] if child is not None]
        return following[0] if following else None

    @cached_property
    def read(self) -> list[object]:
        """The parameters that forward reads itself, past the modules that own them."""
        return [self.attribute(node) for node in self.nodes if node.op == "get_attr"]

    def attribute(self, node: fx.Node) -> object:
        """What a node reads."""
        if node.target in self._constants:
            return self._constants[str(node.target)]
        return functools.reduce(getattr, str(node.target).split("."), self.network)

    def first_name(self, module: nn.Module) -> str:
        """The first dotted name of a module."""
        return self._first_names[module]

    @cached_property
    def _first_names(self) -> dict[nn.Module, str]:
        return {module: name for name, module in self.network.named_modules()}


def join(prefix: str, key: str) -> str:
    """The dotted name of a child."""
    return f"{prefix}.{key}" if prefix else key


def _fixed(network: nn.Module, example: Any) -> dict[str, Any]:
    """The arguments that a network is called with and that are no tensors: the example's, else the defaults."""
    if replaced_forward(network):
        return {}
    if example is not None:
        return example_.fixed(network, example)
    given = list(inspect.signature(network.forward).parameters.values())[1:]
    return {each.name: each.default for each in given if each.default is not each.empty}


def _modules_called(network: nn.Module, flow: graph.Flow) -> list[str] | None:
    """The names of the modules that are called and compute something, in order; None where there is a problem."""
    if flow.graph is None:
        return None
    names = [str(node.target) for node in flow.graph.nodes if node.op == "call_module"]
    return [name for name in names if not isinstance(network.get_submodule(name), Mode)]


_OTHERS = "torch.fx, whose values have no class, follows other calls than the example makes"
"""Why a trace is not believed: a forward that asks for classes, or catches what a call raises, was taken elsewhere."""

_MADE = "__cuda_array_interface__"
"""What torch.as_tensor asks a symbolic value for, and says that it must be a dict."""


def _symbolic(network: nn.Module, fixed: Mapping[str, Any]) -> str:
    """The arguments that have no value in a trace, in words."""
    names = [name for name in inspect.signature(network.forward).parameters if name not in fixed]
    return f"its argument {names[0]}" if len(names) == 1 else f"one of its arguments, {', '.join(names)}"
