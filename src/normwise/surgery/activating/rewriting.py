"""A network's forward as a traced graph in which calls can be exchanged, where a graph can stand for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

from torch import fx, nn

from normwise.surgery.activating import modes
from normwise.surgery.change import Change
from normwise.surgery.converting import forward
from normwise.surgery.converting.paths import Paths
from normwise.surgery.graph import Flow
from normwise.surgery.mode import Mode
from normwise.surgery.rewrite import Rewritten

Exchange = Callable[[fx.Graph, fx.Node], fx.Node]
"""Makes the node that takes the place of a call, in its graph; or gives one that is there already."""


class Rewriting:
    """The forward of a network, the same in training and in evaluation but for what asks which of them it is.

    Args:
        network: the network.
        example: an input as it is called, or None.
        inplace: whether the network must stay the object that it is.
    """

    def __init__(self, network: nn.Module, example: Any, *, inplace: bool) -> None:
        self._network, self._inplace = network, inplace
        self._paths = Paths(network, example=example)

    @property
    def flow(self) -> Flow:
        """The calls; those of the graph that is rewritten."""
        return self._paths.flows[0]

    @cached_property
    def problem(self) -> str:
        """Why a graph cannot stand for the forward; empty where it can."""
        if self._inplace:
            return forward.IN_PLACE
        if self._paths.problem:
            return self._paths.problem
        if self._paths.optional:
            return forward.depending(f"optional arguments ({', '.join(self._paths.optional)})")
        training, evaluation, *without_gradients = self._paths.flows
        if not all(one.is_like(other) for one, other in zip((training, evaluation), without_gradients, strict=True)):
            return forward.depending("whether gradients are enabled")
        if self._flags is None:
            return forward.depending("self.training")
        return forward.losses(self._paths)

    @cached_property
    def _flags(self) -> modes.Flags | None:
        return modes.flags(*self._paths.flows[:2])

    def rewritten(self, exchanged: Mapping[fx.Node, Exchange]) -> tuple[nn.Module, list[Change]]:
        """The network with another forward, in which other calls have the places of some, and what else changed."""
        graph, kind = self.flow.graph, type(self._network).__name__
        assert graph is not None
        assert self._flags is not None
        added = list(self._with_modes(graph, self._flags))
        parts = {part for node in exchanged for part in _around(node)}
        for node, exchange in exchanged.items():
            with graph.inserting_before(node):
                new = exchange(graph, node)
            node.replace_all_uses_with(new)
            graph.erase_node(node)
        graph.lint()
        for name in filter(None, parts):
            vars(self._network.get_submodule(name))["forward"] = forward.Spent(name, _OTHER)
        why = "its forward is a traced graph with the same modules and names; its other methods are gone"
        changed = Rewritten(self._network, graph, self.flow.constants)
        return changed, [Change("", kind, "GraphModule", why), *added]

    def _with_modes(self, graph: fx.Graph, flags: modes.Flags) -> Iterator[Change]:
        """Let calls ask for the mode of the part that makes them."""
        made: dict[str, str] = {}
        for node, arguments in flags.items():
            part = (_around(node) or [""])[-1]
            if part not in made:
                owner = self._network.get_submodule(part)
                name = modes.free_name(owner)
                owner.add_module(name, Mode().train(owner.training))
                made[part] = f"{part}.{name}".lstrip(".")
                yield Change(made[part], "", "Mode()", "says whether the network trains, as its forward asks")
            modes.ask(graph, node, arguments, made[part])


def _around(node: fx.Node) -> list[str]:
    """The dotted names of the modules whose forwards make a call, outermost first."""
    names = [name for name, _ in node.meta.get("nn_module_stack", {}).values()]
    return names[:-1] if node.op == "call_module" else names


_OTHER = "its own forward calls what it called before, other activations; call the whole network"
