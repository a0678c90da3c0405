"""Training one network from sixteen scales of its initial weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from normwise.lab.reproduction.context import Context
from normwise.nn import BatchNorm1d

SCALES = tuple(10 ** (-4 * step / 15) for step in range(16))
"""numpy.logspace(0, −4, 16), as in the book's batch_norm_test_multi.py."""

LAYERS, WIDTH, EXAMPLES, BATCH, RATE = 5, 100, 1000, 100, 0.01
"""The book's: hidden layers, their units, training images, batch size and the learning rate of SGD."""


def network(inputs: int, scale: float, eps: float | None) -> nn.Sequential:
    """ReLU layers with weights from N(0, scale²) and biases of zero."""
    parts: list[nn.Module] = []
    for before in [inputs] + [WIDTH] * (LAYERS - 1):
        parts.append(nn.Linear(before, WIDTH))
        if eps is not None:
            parts.append(BatchNorm1d(WIDTH, eps=eps))
            parts[-1].running_var.zero_()  # type: ignore[operator] # the book's start at zero
        parts.append(nn.ReLU())
    parts.append(nn.Linear(WIDTH, 10))
    for part in parts:
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=scale)
            nn.init.zeros_(part.bias)
    return nn.Sequential(*parts)


def trained(context: Context, eps: float | None, epochs: int) -> Mapping[str, Any]:
    """By scale, the accuracy on the training images after each epoch: same weights up to scale, same batches."""
    X, y = (part[:EXAMPLES] for part in context.tensors("train", flat=True))
    accuracies = []
    for place, scale in enumerate(SCALES):
        torch.manual_seed(context.seed)
        accuracies.append(_train(network(X.shape[1], scale, eps).to(context.device), X, y, epochs, context))
        context.progress((place + 1) / len(SCALES))
    return {"accuracies": accuracies}


def _train(model: nn.Module, X: Tensor, y: Tensor, epochs: int, context: Context) -> list[float]:
    optimizer, rng = torch.optim.SGD(model.parameters(), lr=RATE), context.rng
    found = []
    for _ in range(epochs):
        model.train()
        for _ in range(len(y) // BATCH):
            rows = torch.from_numpy(rng.integers(len(y), size=BATCH)).to(X.device)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(X[rows]), y[rows]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        model.eval()
        with torch.no_grad():
            found.append((model(X).argmax(1) == y).float().mean().item())
    return found
