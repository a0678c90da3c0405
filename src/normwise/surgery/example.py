"""Running a network on an example that a user gave."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from normwise.errors import SurgeryError


def arguments(example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """How a network is called: with a tuple or list as arguments, a mapping as keywords, all else as the argument."""
    if isinstance(example, Mapping):
        return (), dict(example)
    if isinstance(example, (tuple, list)):
        return tuple(example), {}
    return (example,), {}


def run(network: nn.Module, example: Any) -> Any:
    """What a network gives for an example, without gradients; example and random generators are left as they are.

    Raises:
        SurgeryError: the network does not run on it.
    """
    return call(network, *arguments(example))


def call(network: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """As ``run``, with arguments and keywords."""
    args, kwargs = pytree.tree_map(_copied, (args, kwargs))
    devices = {parameter.device for parameter in network.parameters() if parameter.is_cuda}
    with torch.random.fork_rng(devices, device_type="cuda"), torch.no_grad():
        try:
            return network(*args, **kwargs)
        except Exception as error:
            given = [str(tuple(value.shape)) for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
            kinds = [type(value).__name__ for value in (*args, *kwargs.values())]
            shown = f"of shape {', '.join(given)}" if given else f"of type {', '.join(kinds) or 'nothing'}"
            raise SurgeryError(
                f"the network does not run on the example {shown}: {error}; give an input as the network takes it"
            ) from error


def fixed(network: nn.Module, example: Any) -> dict[str, Any]:
    """The arguments of the network's forward that are no tensors when it is called on the example, with their values.

    They are those that it leaves at their defaults, and those for which it gives None, a flag, a number or a text.
    """
    args, kwargs = arguments(example)
    try:
        bound = inspect.signature(network.forward).bind_partial(*args, **kwargs)
    except TypeError:  # of a forward that does not take the example
        return {}
    given = set(bound.arguments)
    bound.apply_defaults()
    plain = (type(None), bool, int, float, str)
    variadic = {
        each.name
        for each in bound.signature.parameters.values()
        if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    }
    return {
        name: value
        for name, value in bound.arguments.items()
        if name not in variadic and (name not in given or isinstance(value, plain))
    }


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value
