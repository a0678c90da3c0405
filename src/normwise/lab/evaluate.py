"""Loss and accuracy of a network on a part of the data."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CHUNK = 1000  # examples at a time: larger ones fall out of the cache


@torch.inference_mode()
def evaluate(network: nn.Module, X: Tensor, y: Tensor) -> dict[str, float]:
    """Mean cross-entropy and share of right answers, in evaluation mode; the training flags are put back."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    loss = right = 0.0
    try:
        for inputs, labels in zip(torch.split(X, CHUNK), torch.split(y, CHUNK), strict=True):
            outputs = network(inputs)
            loss += nn.functional.cross_entropy(outputs, labels, reduction="sum").item()
            right += (outputs.argmax(1) == labels).sum().item()
    finally:
        for module, training in modes:
            module.training = training
    return {"loss": loss / len(y), "accuracy": right / len(y)}
