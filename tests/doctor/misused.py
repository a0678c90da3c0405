"""Small networks with batch normalization, trained well or badly, and their data."""

from __future__ import annotations

import copy
import functools

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

CLASSES, FEATURES = 4, 16


def data(count: int = 512, seed: int = 0, shift: float = 0.0, scale: float = 1.0) -> TensorDataset:
    """Classes around means of their own, far from mean 0; ``shift`` and ``scale`` make another domain."""
    generator = torch.Generator().manual_seed(0)
    means = 1.2 * torch.randn(CLASSES, FEATURES, generator=generator) + 3
    generator.manual_seed(seed + 1)
    y = torch.randint(CLASSES, (count,), generator=generator)
    x = means[y] + 1.5 * torch.randn(count, FEATURES, generator=generator)
    return TensorDataset(scale * x + shift, y)


def images(count: int = 256, seed: int = 0) -> TensorDataset:
    """Images of 14 × 14 whose classes are frequencies of stripes."""
    generator = torch.Generator().manual_seed(seed + 1)
    y = torch.randint(CLASSES, (count,), generator=generator)
    waves = torch.sin(torch.arange(14) * (0.4 + 0.6 * y.unsqueeze(1))).unsqueeze(1).expand(-1, 14, -1)
    return TensorDataset((2 + waves + torch.randn(count, 14, 14, generator=generator)).unsqueeze(1), y)


def mlp(**options) -> nn.Sequential:
    """Two hidden layers with batch normalization, ``options`` its own."""
    return nn.Sequential(
        nn.Linear(FEATURES, 32),
        nn.BatchNorm1d(32, **options),
        nn.ReLU(),
        nn.Linear(32, 32),
        nn.BatchNorm1d(32, **options),
        nn.ReLU(),
        nn.Linear(32, CLASSES),
    )


def cnn(**options) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8, **options),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, stride=2),
        nn.BatchNorm2d(8, **options),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, CLASSES),
    )


class Residual(nn.Module):
    """A block whose last normalization starts with γ = 0."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(FEATURES, 32)
        self.inner, self.norm = nn.Linear(32, 32), nn.BatchNorm1d(32)
        self.head = nn.Linear(32, CLASSES)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head(F.relu(x + self.norm(self.inner(x))))


def loader(examples: TensorDataset, size: int = 32, *, shuffle: bool = True) -> DataLoader:
    return DataLoader(examples, size, shuffle=shuffle)


def by_class(examples: TensorDataset) -> TensorDataset:
    """The same examples, sorted."""
    x, y = examples.tensors
    order = y.argsort(stable=True)
    return TensorDataset(x[order], y[order])


@functools.cache
def _trained() -> nn.Sequential:
    return train(mlp(), data())


def trained() -> nn.Sequential:
    """A network that is trained well, in training mode."""
    return copy.deepcopy(_trained())


def train(network, examples: TensorDataset, steps: int = 200, size: int = 32, lr: float = 1e-2):
    """Train a network as it is, in whatever mode."""
    x, y = examples.tensors
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(filter(lambda each: each.requires_grad, network.parameters()), lr)
    for _ in range(steps):
        rows = torch.randint(len(y), (size,), generator=generator)
        optimizer.zero_grad()
        F.cross_entropy(network(x[rows]), y[rows]).backward()
        optimizer.step()
    return network
