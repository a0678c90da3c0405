"""What loops of one's own share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

EVERY = 16

Batches = Iterable[tuple[Tensor, Tensor]]
Part = tuple[np.ndarray, np.ndarray]


def watched(network: nn.Module, optimizer: torch.optim.Optimizer) -> AbstractContextManager[Any]:
    """``nw.watch``."""
    from normwise.doctor.watch import watch

    return watch(network, optimizer, every=EVERY)


def shuffled(part: Part, size: int, steps: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches drawn without replacement, epoch after epoch."""
    X, y = map(torch.from_numpy, part)
    random = torch.Generator().manual_seed(seed)
    made = 0
    while made < steps:
        for chosen in torch.randperm(len(X), generator=random).split(size):
            if made == steps or len(chosen) < size:
                break
            yield X[chosen], y[chosen]
            made += 1


def train(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Batches,
    loss_of: Callable[[Any, Tensor], Tensor] = F.cross_entropy,
) -> Any:
    """A plain loop under ``nw.watch``; the watch."""
    with watched(network, optimizer) as watch:
        for x, y in batches:
            optimizer.zero_grad()
            loss = loss_of(network(x), y)
            loss.backward()
            optimizer.step()
            watch.step(loss, target=y)
    return watch


@torch.no_grad()
def accuracy(network: nn.Module, part: Part, *, training: bool = False) -> float:
    """The share of right classes on the first 1000 examples, in evaluation mode unless ``training``."""
    X, y = (torch.from_numpy(each[:1000]) for each in part)
    was = network.training
    network.train(training)
    right = torch.cat([network(x).argmax(1) for x in X.split(100)]) == y
    network.train(was)
    return float(right.float().mean())
