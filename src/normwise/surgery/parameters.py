"""Freezing the weight and bias of layers, and remembering on each layer what they required before."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn
from torch.nn.utils import parametrize

_MEMORY = "_requires_grad_before_freeze"


def own(layer: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters of a layer by name, those of its parametrizations with them, those of its children without."""
    found = dict(layer.named_parameters(recurse=False))
    if parametrize.is_parametrized(layer):
        found |= layer.get_submodule("parametrizations").named_parameters("parametrizations")
    return found


def is_frozen(layer: nn.Module) -> bool:
    """Whether the layer remembers what its parameters required."""
    return hasattr(layer, _MEMORY)


def freeze(layers: Iterable[nn.Module]) -> None:
    """Let the parameters of layers require no gradients; layers may share a parameter."""
    parameters = {layer: own(layer) for layer in layers}
    for layer, named in parameters.items():
        setattr(layer, _MEMORY, {name: parameter.requires_grad for name, parameter in named.items()})
    for named in parameters.values():
        for parameter in named.values():
            parameter.requires_grad_(False)
            parameter.grad = None  # with which an optimizer would go on moving it


def unfreeze(layers: Iterable[nn.Module]) -> None:
    """Restore what was remembered.

    Where layers share a parameter and were frozen one after the other, one that requires gradients was frozen first.
    """
    former = []
    for layer in layers:
        flags = getattr(layer, _MEMORY)
        delattr(layer, _MEMORY)
        former += [(flags[name], parameter) for name, parameter in own(layer).items() if name in flags]
    for flag, parameter in sorted(former, key=lambda item: item[0]):
        parameter.requires_grad_(flag)
