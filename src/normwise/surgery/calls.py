"""What the nodes of a traced graph do: activations, additions, changes in place."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F

from normwise.ops.activations import NAMES, Activation, activation_of, parameters


def _calls_of(name: str) -> list[Any]:
    """The functions of torch that compute an activation, and the names of the methods, also in place."""
    forms = (name, f"{name}_")
    functions = [getattr(owner, form) for owner in (F, torch) for form in forms if hasattr(owner, form)]
    return functions + [form for form in forms if hasattr(torch.Tensor, form)]


_ACTIVATIONS: dict[Any, str] = {call: name for name in NAMES for call in _calls_of(name)}
_ADDITIONS = {operator.add, operator.iadd, torch.add, "add", "add_"}
_IN_PLACE = {operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.setitem}


def activation_at(node: fx.Node, network: nn.Module) -> Activation | None:
    """The activation of the table that a call computes, of a module, function or method; None where it is none."""
    if node.op == "call_module":
        found = activation_of(network.get_submodule(str(node.target)))
        return None if found is None or found.name == "identity" else found
    if node.op not in ("call_function", "call_method") or node.target not in _ACTIVATIONS:
        return None
    name = _ACTIVATIONS[node.target]
    defaults = parameters(name)
    given = dict(zip(("input", *defaults, "inplace"), node.args, strict=False)) | node.kwargs
    if not given.keys() <= {"input", "inplace", "approximate", *defaults}:
        return None
    if name == "gelu" and given.get("approximate", "none") == "tanh":
        name = "gelu_tanh"
    numbers: list[Any] = [given.get(key, default) for key, default in defaults.items()]
    return Activation(name, tuple(map(float, numbers))) if all(isinstance(x, (int, float)) for x in numbers) else None


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
