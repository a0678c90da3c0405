"""Batch normalizations that a network calls as functions, which no hook reaches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

UNREACHED = "a function normalizes with it, which is not reached; make it a module, nn.BatchNorm2d for example"


class FunctionalCalls(TorchFunctionMode):
    """Notes the running means that ``F.batch_norm`` is given in the body, where they are buffers of a network.

    Args:
        network: the network.
        layers: the modules whose own calls do not count.

    Attributes:
        problems: by the dotted name of each such buffer, why it is as before.
    """

    def __init__(self, network: nn.Module, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        own = {id(buffer) for layer in layers for buffer in layer.buffers()}
        self._names = {id(each): name for name, each in network.named_buffers() if id(each) not in own}
        self.problems: dict[str, str] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the function, and note its first buffer where it is a batch normalization."""
        kwargs = kwargs or {}
        if func is F.batch_norm or func is torch.batch_norm:
            tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
            found = [self._names[id(each)] for each in tensors if id(each) in self._names]
            self.problems |= dict.fromkeys(found[:1], UNREACHED)
        return func(*args, **kwargs)
