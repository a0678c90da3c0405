"""Running statistics of several layers, to be exchanged while a network is measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from normwise.nn.frozen import FrozenBatchNorm, obstacle


class Statistics:
    """The running statistics that some layers had at one time; None of those that had none."""

    def __init__(self, kept: dict[nn.Module, tuple[Tensor | None, Tensor | None]]) -> None:
        self._kept = kept

    @classmethod
    def of(cls, layers: Iterable[nn.Module]) -> Self:
        """Copies of what the layers have now."""
        return cls({layer: (_copied(layer.running_mean), _copied(layer.running_var)) for layer in layers})

    def put(self) -> None:
        """Give the layers copies of what they had then."""
        for layer, (mean, var) in self._kept.items():
            for name, value in (("running_mean", mean), ("running_var", var)):
                setattr(layer, name, _copied(value))


def _copied(buffer: Tensor | nn.Module | None) -> Tensor | None:
    return buffer.detach().clone() if isinstance(buffer, Tensor) else None


def estimable(layers: Iterable[nn.Module]) -> list[_BatchNorm]:
    """The layers whose statistics can be estimated, or could if they had any."""
    return [
        layer
        for layer in layers
        if isinstance(layer, _BatchNorm)
        and not isinstance(layer, FrozenBatchNorm)
        and not obstacle(layer, statistics=False)
    ]


@contextmanager
def tracking(layers: Iterable[_BatchNorm]) -> Iterator[None]:
    """Let layers that keep no running statistics have some in the body; whoever owns their buffers puts those back."""
    changed = [layer for layer in layers if not layer.track_running_stats]
    try:
        for layer in changed:
            layer.track_running_stats = True
            if layer.running_mean is None:
                like = layer.weight if layer.weight is not None else torch.empty(0)
                mean = torch.zeros(layer.num_features, dtype=like.dtype, device=like.device)
                layer.running_mean, layer.running_var = mean, torch.ones_like(mean)
        yield
    finally:
        for layer in changed:
            layer.track_running_stats = False
