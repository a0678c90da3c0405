"""What stands where a normalization has no place of its own."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import Tensor, nn


class Normalized(nn.Sequential):
    """A module and its normalization, one after the other, in the place of the module.

    An ``nn.Sequential`` with names. What a ``Sequential`` lacks, such as ``in_features`` or ``weight``, is read from
    the module, so that code which asks the module for it goes on working.

    Args:
        children: the two by name, in the order in which they run.
        module: the name of the one whose place this is.
    """

    def __init__(self, children: OrderedDict[str, nn.Module], module: str) -> None:
        super().__init__(children)
        self._normalized = module

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            modules, module = self.__dict__.get("_modules", {}), self.__dict__.get("_normalized")
            if name.startswith("__") or module not in modules:
                raise
            return getattr(modules[module], name)


class EachPosition(nn.Module):
    """Applies a layer for (N, features) to the last axis of (N, …, features): every position counts as an example.

    Args:
        layer: the layer.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """What the layer gives for each position, in the shape of ``x``."""
        y: Tensor = self.layer(x.flatten(0, -2))
        return y.reshape(x.shape)
