"""Training with batches of one size, and evaluating with every kind of statistics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from normwise.lab.reproduction.context import Context
from normwise.nn import BatchNorm1d, suspend_statistics
from normwise.surgery import estimate_population

SIZES = (2, 4, 8, 16, 32, 64, 128, 256)

RATE = 0.2 / 256
"""The learning rate of one example; a batch of B has B times as much (Goyal et al. 2017). Ours, as is the network."""

MOVING, PAPER, POOLED, OWN = "moving averages", "Algorithm 2", "population", "the batch's own"


def network(features: int) -> nn.Sequential:
    """Two hidden layers of 100 units with batch normalization."""
    layers: list[nn.Module] = []
    for inputs in (features, 100):
        layers += [nn.Linear(inputs, 100, bias=False), BatchNorm1d(100), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(100, 10))


def measured(context: Context, size: int, examples: int, estimated: int) -> Mapping[str, Any]:
    """Train with one batch size, and evaluate in every way."""
    X, y = context.tensors("train", flat=True)
    net = network(X.shape[1]).to(context.device)
    optimizer = torch.optim.SGD(net.parameters(), RATE * size)
    steps = examples // size
    for step, batch in enumerate(shuffled(len(X), size, steps, context.seed)):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(X[batch]), y[batch]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        context.progress(0.8 * step / steps)
    X_test, y_test = context.tensors("test", flat=True)
    whole = len(X_test) // SIZES[-1] * SIZES[-1]  # so that every batch size divides it
    return evaluated(net, X[:estimated], X_test[:whole], y_test[:whole], size)


def shuffled(count: int, size: int, steps: int, seed: int) -> Iterator[Tensor]:
    """The examples of each step, epoch after epoch in a new order; what is left at an epoch's end is dropped."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        for batch in torch.split(torch.randperm(count, generator=generator), size):
            if not steps:
                return
            if len(batch) == size:
                steps -= 1
                yield batch


def evaluated(net: nn.Sequential, X: Tensor, X_test: Tensor, y_test: Tensor, size: int) -> dict[str, Any]:
    """Test error with each kind of statistics, and how many answers change with the companions.

    Args:
        net: the trained network, in training mode.
        X: training images for population statistics.
        X_test: images whose number every batch size divides.
        y_test: their classes.
        size: of the batches that it was trained with.
    """

    def classes(among: int, seed: int, most: int = len(X_test)) -> Tensor:
        """What each of the first images is taken for, in random batches of ``among``."""
        order = torch.randperm(min(most, len(X_test)), generator=torch.Generator().manual_seed(seed))
        answers = torch.empty_like(y_test[: len(order)])
        with torch.no_grad():
            for batch in torch.split(order, among):
                answers[batch] = net(X_test[batch]).argmax(1)
        return answers

    def error(answers: Tensor) -> float:
        return (answers != y_test[: len(answers)]).double().mean().item()

    def changed() -> int:
        """Of the first 1,024 images, those whose class differs between two random divisions into batches."""
        return int((classes(size, 1, 1024) != classes(size, 2, 1024)).sum())

    with suspend_statistics(net):
        own = {"error": error(classes(size, 0)), "changed": changed()}
        by_size = {str(among): error(classes(among, 0, 2048)) for among in SIZES}
    net.eval()
    found = {OWN: own, MOVING: {"error": error(classes(1000, 0)), "changed": changed()}}
    estimate_population(net, torch.split(X, size)[: len(X) // size], mode="paper", progress=False)
    found[PAPER] = {"error": error(classes(1000, 0)), "changed": changed()}
    estimate_population(net, torch.split(X, 1000), progress=False)
    found[POOLED] = {"error": error(classes(1000, 0)), "changed": changed()}
    return {"ways": found, "by_size": by_size, "images": min(1024, len(X_test))}
