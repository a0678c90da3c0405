"""What the nodes of a traced graph do: activations, additions, changes in place."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F

from normwise.ops.activations import Activation, activation_of

_ACTIVATIONS: dict[Any, tuple[str, ...]] = {
    F.relu: ("relu",),
    torch.relu: ("relu",),
    torch.relu_: ("relu",),
    "relu": ("relu",),
    "relu_": ("relu",),
    F.leaky_relu: ("leaky_relu", "negative_slope"),
    F.leaky_relu_: ("leaky_relu", "negative_slope"),
    F.relu6: ("relu6",),
    F.elu: ("elu", "alpha"),
    F.elu_: ("elu", "alpha"),
    F.silu: ("silu",),
    F.gelu: ("gelu",),
    F.sigmoid: ("sigmoid",),
    torch.sigmoid: ("sigmoid",),
    torch.sigmoid_: ("sigmoid",),
    "sigmoid": ("sigmoid",),
    "sigmoid_": ("sigmoid",),
    F.tanh: ("tanh",),
    torch.tanh: ("tanh",),
    torch.tanh_: ("tanh",),
    "tanh": ("tanh",),
    "tanh_": ("tanh",),
    F.hardswish: ("hardswish",),
    F.mish: ("mish",),
}
"""For each function or method the name of its activation, and of its parameter where it has one."""

_DEFAULTS = {"leaky_relu": 0.01, "elu": 1.0}
_ADDITIONS = {operator.add, operator.iadd, torch.add, "add", "add_"}
_IN_PLACE = {operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.setitem}


def activation_at(node: fx.Node, network: nn.Module) -> Activation | None:
    """The activation of the table that a call computes, of a module, function or method; None where it is none."""
    if node.op == "call_module":
        found = activation_of(network.get_submodule(str(node.target)))
        return None if found is None or found.name == "identity" else found
    if node.op not in ("call_function", "call_method") or node.target not in _ACTIVATIONS:
        return None
    name, *parameters = _ACTIVATIONS[node.target]
    given = dict(zip(("input", *parameters, "inplace"), node.args, strict=False)) | node.kwargs
    if not given.keys() <= {"input", "inplace", "approximate", *parameters}:
        return None
    if name == "gelu" and given.get("approximate", "none") == "tanh":
        name = "gelu_tanh"
    given_numbers = [given.get(key, _DEFAULTS[name]) for key in parameters]
    numbers = [float(value) for value in given_numbers if isinstance(value, (int, float))]
    return Activation(name, tuple(numbers)) if len(numbers) == len(given_numbers) else None


def added(node: fx.Node) -> tuple[Any, Any] | None:
    """The two arguments of an addition; None where a call is none."""
    if node.target not in _ADDITIONS or len(node.args) + ("other" in node.kwargs) != 2:
        return None
    if node.kwargs.keys() - {"other"}:
        return None
    return (node.args[0], node.kwargs.get("other", node.args[-1]))


def in_place(node: fx.Node, network: nn.Module) -> bool:
    """Whether a call may change its first argument."""
    if node.op == "call_module":
        return bool(getattr(network.get_submodule(str(node.target)), "inplace", False))
    name = str(node.target if node.op == "call_method" else getattr(node.target, "__name__", ""))
    positional = [value for value in node.args if value is True]
    changes = bool(node.kwargs.get("inplace")) or "out" in node.kwargs or bool(positional)
    return changes or node.target in _IN_PLACE or (name.endswith("_") and not name.endswith("__"))


def sole_user(node: fx.Node) -> fx.Node | None:
    """The call that takes a value, where it is one call and takes it once."""
    if len(node.users) != 1:
        return None
    (user,) = node.users
    taken: list[fx.Node] = []
    fx.node.map_arg((user.args, user.kwargs), lambda each: taken.append(each) if each is node else None)
    return user if len(taken) == 1 else None


def described(node: fx.Node, network: nn.Module) -> str:
    """A call in words: ``relu1 (ReLU)`` for a module, ``relu()`` for a function or method, ``the output``."""
    if node.op == "call_module":
        return f"{node.target} ({type(network.get_submodule(str(node.target))).__name__})"
    if node.op in ("output", "placeholder"):
        return f"the {'input' if node.op == 'placeholder' else 'output'}"
    return str(node.target) if node.op == "get_attr" else f"{getattr(node.target, '__name__', node.target)}()"
