"""Calls of ``F.batch_norm``, as modules."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F

from normwise.surgery import example as example_
from normwise.surgery.change import Change
from normwise.surgery.folding.affine import ChannelAffine, from_moments
from normwise.surgery.graph import trace
from normwise.surgery.rewrite import Rewritten

_FUNCTIONS = {F.batch_norm: inspect.signature(F.batch_norm)}
_CONTEXTS = "its forward enters contexts (no_grad, autocast), which a traced graph would lose"
_VECTORS = ("running_mean", "running_var", "weight", "bias")


def as_modules(network: nn.Module, example: Any) -> tuple[nn.Module, dict[str, str], list[Change]]:
    """Put a ``ChannelAffine`` in the place of each call of ``F.batch_norm`` with fixed moments.

    Args:
        network: a network in evaluation; it is left as it is.
        example: an input as it is called.

    Returns:
        The network itself where there is no such call, otherwise a graph that shares its modules; what each new module
        stands for, by name; and what was changed, or left alone.
    """
    fixed = example_.fixed(network, example)
    flow = trace(network, fixed)
    calls = [node for node in flow.graph.nodes if node.target in _FUNCTIONS] if flow.graph is not None else []
    if calls and (lost := flow.impure or _CONTEXTS * flow.has_contexts or _unchecked(fixed) or _asks(network, fixed)):
        return network, {}, [Change("", "F.batch_norm", "F.batch_norm", f"left alone: {lost}")]
    made: dict[str, str] = {}
    changes: list[Change] = []
    shell = copy.copy(network)
    shell.__dict__["_modules"] = dict(network._modules)
    for node in calls:
        found = _affine(network, node)
        if isinstance(found, str):
            changes.append(Change("", "F.batch_norm", "F.batch_norm", f"left alone: {found}"))
            continue
        name = _free(network, made)
        shell.add_module(name, found)
        made[name] = "F.batch_norm"
        _call_instead(node, name)
    if not made:
        return network, {}, changes
    assert flow.graph is not None
    for node in flow.graph.nodes:
        if node.op == "get_attr" and not node.users:
            flow.graph.erase_node(node)
        name, _, number = str(node.target).rpartition("_")
        if node.op == "placeholder" and name in fixed and number.isdigit():
            node.target = name  # what torch.fx has numbered
    graph = Rewritten(shell, flow.graph, flow.constants).eval()
    why = "its forward calls F.batch_norm; rewritten as a graph, for evaluation"
    return graph, made, [Change("", type(network).__name__, "GraphModule", why), *changes]


def _unchecked(fixed: Mapping[str, Any]) -> str:
    """Why a graph may be wrong for other arguments: it checks numbers, texts and None, and takes the rest as it was."""
    names = [f"{name}=" for name, value in fixed.items() if not isinstance(value, example_.PLAIN)]
    return f"a traced graph would always have the default of {', '.join(names)}" if names else ""


def _asks(network: nn.Module, fixed: Mapping[str, Any]) -> str:
    """Why a graph may be wrong for the inputs of a forward that asks for their class, or the like."""
    return trace(network, fixed, unasked={*inspect.signature(network.forward).parameters} - fixed.keys()).problem


def _affine(network: nn.Module, node: fx.Node) -> ChannelAffine | str:
    """What a call computes, or why that is not known beforehand."""
    bound = _FUNCTIONS[node.target].bind(*node.args, **node.kwargs)  # type: ignore[index]
    bound.apply_defaults()
    given = bound.arguments
    if given["training"] is not False:
        return "it normalizes with the moments of each batch in evaluation too"
    sources = [given[name] for name in _VECTORS]
    if not all(source is None or (isinstance(source, fx.Node) and source.op == "get_attr") for source in sources):
        return "its moments, weight or bias are computed"
    mean, var, weight, bias = (None if source is None else _tensor(network, source) for source in sources)
    if mean is None or var is None or not isinstance(given["eps"], (int, float)):
        return "it has no running statistics"
    affine = from_moments(mean, var, weight, bias, given["eps"])
    if not affine.is_finite:
        return "its statistics, weight or bias are not finite"
    return ChannelAffine(affine, mean).eval()


def _tensor(network: nn.Module, node: fx.Node) -> torch.Tensor:
    value: Any = network
    for part in str(node.target).split("."):
        value = getattr(value, part)
    assert isinstance(value, torch.Tensor)
    return value


def _call_instead(node: fx.Node, name: str) -> None:
    x = node.args[0] if node.args else node.kwargs["input"]
    with node.graph.inserting_before(node):
        call = node.graph.call_module(name, (x,))
    node.replace_all_uses_with(call)
    node.graph.erase_node(node)


def _free(network: nn.Module, made: dict[str, str]) -> str:
    number = len(made) + 1
    while hasattr(network, f"batch_norm_{number}"):
        number += 1
    return f"batch_norm_{number}"
