"""Whether what is added to the output of a normalization can be given to the layer instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn

from normwise.errors import SurgeryError
from normwise.surgery import calls, walk
from normwise.surgery.converting.matches import Match
from normwise.surgery.converting.paths import Paths
from normwise.surgery.example import arguments, run


class Value(NamedTuple):
    """A tensor that flowed through a network: its shape, its type and where its numbers lie."""

    shape: torch.Size
    dtype: torch.dtype
    memory: int


Values = Mapping[str, Value]
"""By the name of each node of a graph."""


def obstacle(match: Match, values: Values | None, network: nn.Module) -> str:
    """Why a residual cannot be given to the layer; empty where it can, or where there is none.

    A layer does not broadcast, and keeps the residual for the backward pass.

    Args:
        match: the calls.
        values: what flows through the graph on an example, or None.
        network: the network.
    """
    if match.addition is None:
        return ""
    if not isinstance(match.residual, fx.Node):
        return "what is added is a number"
    if match.residual.op == "get_attr":
        return "what is added is a tensor of the network's own, whatever the size of the batch"
    if values is None:
        return "the shape of what is added is unknown; give example="
    added, norm = values.get(match.residual.name), values.get(match.norm.name)
    if added is None or norm is None or added[:2] != norm[:2]:
        return "what is added has another shape or type"
    if 1 in _positions(match, norm.shape, network):
        return f"on an example of shape {(*norm.shape,)} what is broadcast cannot be told; give a larger one"
    return _changes(match, values, network)


def _positions(match: Match, shape: torch.Size, network: nn.Module) -> list[int]:
    """The shape without the channels."""
    sizes = list(shape)
    del sizes[getattr(network.get_submodule(str(match.norm.target)), "channel_dim", 1)]
    return sizes


def _changes(match: Match, values: Values, network: nn.Module) -> str:
    """Why the layer cannot take the residual at its own call, or, where that is made later, at the addition."""
    assert match.addition is not None
    nodes = list(match.norm.graph.nodes)
    norm, addition = nodes.index(match.norm), nodes.index(match.addition)
    moved = nodes[norm + 1 : addition] if match.late else []
    later = [*(() if match.late else nodes[norm + 1 : addition]), *nodes[addition + 1 :]]
    if any(_changed(node, match.residual, values, network) for node in later):
        return "what is added is changed in place later"
    if any(_changed(node, match.norm.all_input_nodes[0], values, network) for node in moved):
        return "the layer's input is changed in place before that"
    own = str(match.norm.target)
    again = any(node.op in ("call_module", "get_attr") and f"{node.target}.".startswith(f"{own}.") for node in moved)
    return "the layer is called, or its statistics are read, before that" if again else ""


def _changed(node: fx.Node, value: fx.Node, values: Values, network: nn.Module) -> bool:
    """Whether a call changes the memory of a value; also where that is not known."""
    if not calls.in_place(node, network):
        return False
    changed = [each for each in (*node.args[:1], node.kwargs.get("out")) if isinstance(each, fx.Node)]
    known = [values[each.name].memory for each in changed if each.name in values]
    return len(known) < len(changed) or not changed or values[value.name].memory in known


class _Recorder(nn.Module):
    """Runs a graph and remembers every tensor."""

    def __init__(self, network: nn.Module, graph: fx.Graph) -> None:
        super().__init__()
        self.network, self.graph = network, graph
        self.values: dict[str, Value] = {}

    def forward(self, *args: Any, **kwargs: Any) -> None:
        values, alive = self.values, []

        class Interpreter(fx.Interpreter):
            def run_node(self, n: fx.Node) -> Any:
                value = super().run_node(n)
                if isinstance(value, Tensor):
                    alive.append(value)  # so that no memory is given out twice
                    values[n.name] = Value(value.shape, value.dtype, value.untyped_storage().data_ptr())
                return value

        inputs = [str(node.target) for node in self.graph.nodes if node.op == "placeholder"]
        Interpreter(self.network, graph=self.graph).run(*args, *(kwargs[name] for name in inputs[len(args) :]))


def values_on(paths: Paths, example: Any) -> Values:
    """What flows through a network in evaluation on an example.

    Raises:
        SurgeryError: the network does not run on it.
    """
    flow, twin = paths.flows[0], walk.duplicate(paths.network).eval()
    for name, value in flow.constants.items():
        setattr(twin, name, value)
    assert flow.graph is not None
    args, kwargs = arguments(example)
    wanted = [str(node.target) for node in flow.graph.nodes if node.op == "placeholder"]
    if sorted(wanted[len(args) :]) != sorted(kwargs):
        raise SurgeryError(
            f"the example does not give the arguments of forward, {', '.join(wanted)}; give each of them"
        )
    recorder = _Recorder(twin, flow.graph)
    run(recorder, example)
    return recorder.values
