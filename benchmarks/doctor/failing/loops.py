"""Loops of one's own that do not train."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.doctor import data
from benchmarks.doctor.build import mlp
from benchmarks.doctor.case import Case, Ran
from benchmarks.doctor.failing.networks import six
from benchmarks.doctor.loop import accuracy, shuffled, train, watched


def kept_gradients(seed: int, steps: int | None, *, clear: bool = False, lr: float = 0.05) -> Ran:
    """Gradients that are added up, because nothing clears them."""
    torch.manual_seed(seed)
    network = mlp(64, 64, 64, 10, init="he")
    parts = data.digits()
    optimizer = torch.optim.SGD(network.parameters(), lr=lr, momentum=0.9)
    with watched(network, optimizer) as watch:
        for x, y in shuffled(parts[0], 32, steps or 300, seed):
            loss = F.cross_entropy(network(x), y)
            if clear:
                optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watch.step(loss, target=y)
    return Ran(watch.findings, accuracy(network, parts[0]), watch)


def frozen_but_norms(seed: int, steps: int | None, *, frozen: bool = True, batch: int = 4) -> Ran:
    """Only γ and β are learned, with the moments of four examples."""
    torch.manual_seed(seed)
    network = six(dropout=0.0)
    if frozen:
        for module in network.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                module.requires_grad_(False)
    parts = data.cifar()
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.02, momentum=0.9)
    watch = train(network, optimizer, shuffled(parts[0], batch, steps or 300, seed))
    return Ran(watch.findings, accuracy(network, parts[0]), watch)


def wrong_parameters(seed: int, steps: int | None) -> Ran:
    """An optimizer that holds the last layer's parameters alone."""
    torch.manual_seed(seed)
    network = mlp(64, 32, 32, 32, 32, 10, activation="tanh")
    parts = data.digits()
    optimizer = torch.optim.SGD(network[-1].parameters(), lr=0.01)
    watch = train(network, optimizer, shuffled(parts[0], 32, steps or 300, seed))
    return Ran(watch.findings, accuracy(network, parts[0]), watch)


def detached(seed: int, steps: int | None) -> Ran:
    """An optimizer made before the network was replaced: none of its parameters is learned."""
    torch.manual_seed(seed)
    optimizer = torch.optim.Adam(mlp(64, 64, 10).parameters(), lr=0.003)
    network = mlp(64, 64, 10)
    parts = data.digits()
    watch = train(network, optimizer, shuffled(parts[0], 32, steps or 200, seed))
    return Ran(watch.findings, accuracy(network, parts[0]), watch)


CASES = (
    Case(
        "gradients-kept",
        "failing",
        "TrainCheck, StackOverflow 60335387: missing zero_grad",
        loop=kept_gradients,
        label=frozenset({"gradients-not-cleared"}),
        learns_at=0.9,
    ),
    Case(
        "gradients-kept-high-lr",
        "failing",
        "TrainCheck, StackOverflow 60335387: missing zero_grad, SGD .5",
        loop=partial(kept_gradients, lr=0.5),
        label=frozenset({"gradients-not-cleared"}),
        learns_at=0.9,
    ),
    Case(
        "all-but-norms-frozen",
        "failing",
        "TrainCheck, pytorch-forum-84911: all but batch normalization frozen, batch 4",
        loop=frozen_but_norms,
        label=frozenset({"small-batch-statistics", "parameters-not-updated"}),
        learns_at=0.3,
    ),
    Case(
        "optimizer-of-last-layer",
        "failing",
        "TrainCheck: an optimizer that does not hold the network's parameters",
        loop=wrong_parameters,
        label=frozenset({"parameters-not-updated"}),
        learns_at=0.9,
    ),
    Case(
        "optimizer-of-another-network",
        "failing",
        "TrainCheck: an optimizer that was made for another network",
        loop=detached,
        label=frozenset({"parameters-not-updated"}),
        learns_at=0.9,
    ),
)
