"""Networks, data and steps that cases of misuse share: digits of 8×8 pixels, as vectors or as images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.doctor import data
from benchmarks.doctor.build import mlp
from benchmarks.doctor.case import Case, Loop, Parts, Ran
from benchmarks.doctor.loop import Part, accuracy, shuffled, watched

Batch = tuple[Tensor, Tensor]
GOOD = 0.88
"""The accuracy of a network without the fault."""


def case(name: str, what: str, loop: Loop, *label: str) -> Case:
    """A case of misuse; a near miss has no label."""
    return Case(name, "misuse", what, loop=loop, label=frozenset(label), learns_at=GOOD)


def vectors(scale: float = 1 / 16) -> Parts:
    """Digits as vectors of 0 to 1."""
    return data.digits(scale)


def images() -> Parts:
    """Digits as images of one channel."""
    return tuple((X.reshape(-1, 1, 8, 8), y) for X, y in data.digits())


def perceptron(hidden: int = 2, **options: Any) -> nn.Sequential:
    """Layers of 64 ReLU with batch normalization; ``options`` are those of ``BatchNorm1d``."""
    network = mlp(*[64] * (hidden + 1), 10, init="he", norm="batch")
    assert isinstance(network, nn.Sequential)
    return with_options(network, **options)


def convolutions(**options: Any) -> nn.Sequential:
    """Two convolutions of 3×3 with batch normalization, and a linear map; ``options`` are those of ``BatchNorm2d``."""
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(512, 10),
    )
    return with_options(network, **options)


def with_options(network: nn.Sequential, **options: Any) -> nn.Sequential:
    """The network with its batch normalizations made anew with these options."""
    for place, module in enumerate(network):
        if options and isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            network[place] = type(module)(module.num_features, **options)
    return network


def norms(network: nn.Module) -> list[Any]:
    """Its batch normalizations."""
    return [module for module in network.modules() if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d))]


def fit(
    network: nn.Module,
    batches: Iterable[Batch],
    *,
    lr: float = 0.003,
    every: int = 1,
    watch: bool = False,
    optimizer: torch.optim.Optimizer | None = None,
) -> Any:
    """Train with Adam, updating after each ``every`` batches; the watch, or None where ``watch`` is False."""
    optimizer = optimizer or torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=lr)
    if not watch:
        for _ in _updates(network, batches, optimizer, every):
            pass
        return None
    with watched(network, optimizer) as watching:
        for loss, y in _updates(network, batches, optimizer, every):
            watching.step(loss, target=y)
    return watching


def _updates(
    network: nn.Module, batches: Iterable[Batch], optimizer: torch.optim.Optimizer, every: int
) -> Iterator[Batch]:
    for index, (x, y) in enumerate(batches):
        if index % every == 0:
            optimizer.zero_grad()
        loss = F.cross_entropy(network(x), y)
        (loss / every).backward()
        if index % every == every - 1:
            optimizer.step()
            yield loss, y


def seen(watch: Any, network: nn.Module, part: Part) -> Ran:
    """What came of a watched loop, by its accuracy in evaluation mode."""
    return Ran(watch.findings, accuracy(network, part), watch)


def examined(network: nn.Module, part: Part, size: int = 64, *, training: bool = False, sort: bool = False) -> Ran:
    """What ``nw.examine`` finds on a part, in batches of ``size``, and the accuracy there in the mode given.

    Args:
        network: the trained network.
        part: the data that it is used on.
        size: examples in a batch.
        training: whether it is used in training mode, as it is when ``eval()`` was forgotten.
        sort: whether the examples come sorted by their class.
    """
    from normwise.doctor.examine import examine

    network.train(training)
    batches = list(in_order(part, size, sort=sort))
    found = examine(network, batches, F.cross_entropy)
    network.train(training)
    was = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        right = torch.cat([network(x).argmax(1) == y for x, y in batches])
    network.load_state_dict(was)
    return Ran(tuple(found), float(right.float().mean()), found.evidence.examination)


def in_order(part: Part, size: int, *, sort: bool = False) -> Iterator[Batch]:
    """All whole batches of a part, in a random order or sorted by class."""
    X, y = part
    order = np.argsort(y, kind="stable") if sort else np.random.default_rng(5).permutation(len(y))
    X, y = X[order], y[order]
    for start in range(0, len(y) - size + 1, size):
        yield torch.from_numpy(X[start : start + size]), torch.from_numpy(y[start : start + size])


def sound(seed: int, steps: int | None, parts: Parts | None = None, **options: Any) -> tuple[nn.Sequential, Parts]:
    """A perceptron with batch normalization, trained well, and its data."""
    torch.manual_seed(seed)
    parts = parts or vectors()
    network = perceptron(**options)
    fit(network, shuffled(parts[0], 32, steps or 200, seed))
    return network, parts
