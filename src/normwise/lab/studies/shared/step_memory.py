"""What a training step keeps in memory, by batch size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from normwise.lab.reproduction.context import Context
from normwise.lab.reproduction.saved_tensors import saved_bytes


def memory(context: Context, sizes: list[int], features: int) -> Mapping[str, Any]:
    """Bytes that one training step keeps from the forward pass for the backward pass, by batch size."""
    network = nn.Sequential(nn.Linear(features, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, 10))
    network.to(context.device)

    def kept(size: int) -> int:
        x = torch.zeros(size, features, device=context.device)
        y = torch.zeros(size, dtype=torch.int64, device=context.device)
        return saved_bytes(lambda: nn.functional.cross_entropy(network(x), y), network.parameters())

    return {"sizes": sizes, "bytes": [kept(size) for size in sizes]}
