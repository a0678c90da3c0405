"""What recording a training loop costs: a plain loop that is recorded, and the same without, in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.pair import Pair, seconds
from normwise.lab.data import load
from normwise.probes.recorder import Recorder

EPOCHS, BATCH, EVERY = 60, 60, 16


def mlp(depth: int) -> nn.Module:
    widths = [64] + [100] * depth
    hidden = [each for n, m in pairwise(widths) for each in (nn.Linear(n, m), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(100, 10))


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(512, 10),
    )


CASES: dict[str, tuple[str, Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": ("digits, a network of 3×100", lambda: mlp(3), (64,)),
    "deep": ("digits, a network of 20×100", lambda: mlp(20), (64,)),
    "cnn": ("digits, two convolutions with batch normalization", cnn, (1, 8, 8)),
}


def pairs(make: Callable[[], nn.Module], shape: tuple[int, ...]) -> Callable[[int], Iterator[Pair]]:
    """Whole trainings; the ratio is what they take longer by."""

    def measure(n: int) -> Iterator[Pair]:
        torch.set_num_threads(1)
        train = load("digits").build("classification").train
        X = torch.from_numpy(train.X).reshape(-1, *shape).float() / 16
        loader = DataLoader(TensorDataset(X, torch.from_numpy(train.y)), BATCH, shuffle=True, drop_last=True)
        _train(make(), loader, recorded=True)
        for _ in range(n):
            plain = seconds(lambda: _train(make(), loader, recorded=False))
            yield Pair(seconds(lambda: _train(make(), loader, recorded=True)), plain)

    return measure


def _train(network: nn.Module, loader: DataLoader, *, recorded: bool) -> None:
    torch.manual_seed(0)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    recorder = Recorder(network, optimizer, EVERY) if recorded else None
    with recorder or nullcontext():
        for _ in range(EPOCHS):
            for inputs, labels in loader:
                loss = F.cross_entropy(network(inputs), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                if recorder is not None:
                    recorder.step(loss, labels)
    if recorder is not None:
        recorder.watched()
