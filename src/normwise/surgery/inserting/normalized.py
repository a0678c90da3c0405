"""What stands where a normalization has no place of its own."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import Tensor, nn


class Normalized(nn.Sequential):
    """A module and its normalization, one after the other, in the place of the module.

    An ``nn.Sequential`` with names. What a ``Sequential`` lacks, such as ``in_features`` or ``weight``, is read from
    the module, set on it and deleted from it, so that code which did so with the module goes on working.

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
            module = self._place()
            if module is None or name.startswith("__"):
                raise
            return getattr(module, name)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value) if self._is_own(name) else setattr(self._place(), name, value)

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name) if self._is_own(name) else delattr(self._place(), name)

    def _place(self) -> nn.Module | None:
        """The module whose place this is; None before it is there."""
        modules: dict[str | None, nn.Module] = self.__dict__.get("_modules", {})
        return modules.get(self.__dict__.get("_normalized"))

    def _is_own(self, name: str) -> bool:
        """Whether an attribute is not the module's: a child, what every ``Sequential`` has, or what is new to both."""
        own = hasattr(type(self), name) or name in self.__dict__ or name in self._modules
        return own or not hasattr(self._place(), name)


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
