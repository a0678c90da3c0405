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


def left_out(network: nn.Module, example: Any) -> dict[str, Any]:
    """The arguments of the network's forward that the example leaves at their defaults, with these."""
    args, kwargs = arguments(example)
    parameters = inspect.signature(network.forward).parameters.values()
    plain = [each for each in parameters if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    rest = plain[len(args) :]
    return {each.name: each.default for each in rest if each.name not in kwargs and each.default is not each.empty}


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value
