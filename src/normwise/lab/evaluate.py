"""Loss and accuracy of a network on parts of the data."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

CHUNK = 1000  # examples at a time: larger ones fall out of the cache


@torch.no_grad()
def evaluate(network: nn.Module, parts: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, dict[str, float]]:
    """Mean cross-entropy and share of right answers on each part, in evaluation mode; the modes are put back."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        return {name: _evaluate(network, X, y) for name, (X, y) in parts.items()}
    finally:
        for module, training in modes:
            module.training = training


def _evaluate(network: nn.Module, X: Tensor, y: Tensor) -> dict[str, float]:
    loss = right = 0.0
    for inputs, labels in zip(torch.split(X, CHUNK), torch.split(y, CHUNK), strict=True):
        outputs = network(inputs)
        loss += nn.functional.cross_entropy(outputs, labels, reduction="sum").item()
        right += (outputs.argmax(1) == labels).sum().item()
    return {"loss": loss / len(y), "accuracy": right / len(y)}
