"""Running a network on an example that a user gave."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer
from torch.utils import _pytree as pytree

from normwise.errors import SurgeryError, first_line

PLAIN = (type(None), bool, int, float, str)
"""What is no tensor, and decides what runs."""


def is_plain(value: Any) -> bool:
    """Whether a value is None, a flag, a number or a text, or a tuple or list of these."""
    if isinstance(value, (tuple, list)):
        return all(map(is_plain, value))
    return isinstance(value, PLAIN)


def arguments(example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """How a network is called on an example.

    What has ``args`` and ``kwargs``, such as an ``inspect.BoundArguments``, gives both. Else a tuple or list is passed
    as arguments, a mapping as keywords, and anything else as the only argument.
    """
    if hasattr(example, "args") and hasattr(example, "kwargs"):
        return tuple(example.args), dict(example.kwargs)
    if isinstance(example, Mapping):
        return (), dict(example)
    if isinstance(example, (tuple, list)):
        return tuple(example), {}
    return (example,), {}


def run(network: nn.Module, example: Any, within: AbstractContextManager[Any] | None = None) -> Any:
    """What a network gives for an example, without gradients; example, buffers and random generators stay as they are.

    Args:
        network: the network.
        example: an input, as it takes it.
        within: a context for its forward alone.

    Raises:
        SurgeryError: the network does not run on it.
    """
    return call(network, *arguments(example), within)


def call(
    network: nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    within: AbstractContextManager[Any] | None = None,
) -> Any:
    """As ``run``, with arguments and keywords."""
    args, kwargs = pytree.tree_map(_copied, (args, kwargs))
    devices = {parameter.device for parameter in network.parameters() if parameter.is_cuda}
    with torch.random.fork_rng(devices, device_type="cuda"), torch.no_grad(), _kept(network):
        try:
            with within or nullcontext():
                return network(*args, **kwargs)
        except Exception as error:
            raise SurgeryError(
                f"the network does not run on the example {_described(args, kwargs)}: "
                f"{type(error).__name__}: {first_line(error)}; give an input as the network takes it"
            ) from error


def _described(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """The shapes of what an example gives, by keyword where it gives it by keyword; the types where nothing has one."""
    named = [("", value) for value in args] + [(f"{name}=", value) for name, value in kwargs.items()]
    shapes = [f"{name}{tuple(value.shape)}" for name, value in named if isinstance(value, Tensor)]
    if shapes:
        return f"of shape {', '.join(shapes)}"
    return f"of type {', '.join(f'{name}{type(value).__name__}' for name, value in named) or 'nothing'}"


def fixed(network: nn.Module, example: Any) -> dict[str, Any]:
    """The arguments of the network's forward that are no tensors when it is called on the example, with their values.

    They are those that it leaves at their defaults, and those for which it gives None, a flag, a number or a text, or a
    tuple or list of these.
    """
    bound = _bound(network, example)
    if bound is None:
        return {}
    given = {name for name, value in bound.arguments.items() if not is_plain(value)}
    bound.apply_defaults()
    return {name: bound.arguments[name] for name in bound.arguments if name not in given | _variadic(bound.signature)}


def left_out(network: nn.Module, example: Any) -> tuple[dict[str, Any], set[str]]:
    """What a network's forward could be given and the example does not: arguments with their defaults; open ends.

    The open ends are ``*args`` and ``**kwargs``, which the example may give something too.
    """
    bound = _bound(network, example)
    if bound is None:
        return {}, set()
    given, ends = set(bound.arguments), _variadic(bound.signature)
    bound.apply_defaults()
    return {name: value for name, value in bound.arguments.items() if name not in given | ends}, ends


def _bound(network: nn.Module, example: Any) -> inspect.BoundArguments | None:
    args, kwargs = arguments(example)
    try:
        return inspect.signature(network.forward).bind_partial(*args, **kwargs)
    except TypeError:  # of a forward that does not take the example
        return None


def _variadic(signature: inspect.Signature) -> set[str]:
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {name for name, each in signature.parameters.items() if each.kind in kinds}


@contextmanager
def _kept(network: nn.Module) -> Iterator[None]:
    """Buffers that a forward changes or replaces are as before."""
    modules = [(module, dict(module._buffers)) for module in network.modules()]
    values = {value for _, buffers in modules for value in buffers.values() if isinstance(value, Tensor)}
    known = [
        (value, value._version, value.clone())
        for value in values
        if not isinstance(value, UninitializedBuffer) and not value.is_inference()
    ]
    try:
        yield
    finally:
        for module, buffers in modules:
            if not any(isinstance(value, UninitializedBuffer) for value in buffers.values()):
                module._buffers.update(buffers)
        for value, version, before in known:
            if value._version != version:
                value.copy_(before)


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value
