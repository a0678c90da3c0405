"""Writing running statistics: of all layers, or of none."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from normwise.errors import SurgeryError

Statistics = tuple[Tensor, Tensor]
"""Mean and unbiased variance."""


def write(new: dict[_BatchNorm, Statistics], batches: dict[_BatchNorm, int]) -> None:
    """Write the statistics of all layers, or none."""
    values = [pair for layer, (mean, var) in new.items() for pair in _buffers(layer, mean, var, batches[layer])]
    before = [(buffer, buffer.clone()) for buffer, _ in values]
    try:
        for buffer, value in values:
            buffer.copy_(value)
    except BaseException:
        for buffer, value in before:
            if not torch.equal(buffer, value):
                buffer.copy_(value)
        raise


def _buffers(layer: _BatchNorm, mean: Tensor, var: Tensor, batches: int) -> list[tuple[Tensor, Tensor]]:
    """Each buffer of a layer that changes, with its new value in its own type."""
    new = {"running_mean": mean, "running_var": var, "num_batches_tracked": torch.tensor(batches)}
    new["skipped"] = torch.zeros(1, dtype=torch.int64)
    pairs = [
        (buffer, value.to(buffer)) for name, value in new.items() if (buffer := getattr(layer, name, None)) is not None
    ]
    for buffer, value in pairs:
        if not value.isfinite().all():
            raise SurgeryError(
                f"the statistics are too large for {buffer.dtype}: nothing was changed; make those buffers float32"
            )
    return pairs
