"""A part of CIFAR-10 that two cores can train on, with batches that are drawn anew or stay together."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from normwise.lab.data import Data, load

BATCH = 32
"""The examples of a batch, as in section 4.2 of the paper."""

Pair = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


class Shards(Dataset[tuple[Tensor, Tensor]]):
    """Batches whose examples always appear together; an epoch changes their order only."""

    def __init__(self, X: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> None:
        self._X, self._y = torch.from_numpy(X), torch.from_numpy(y)

    def __len__(self) -> int:
        """The number of whole batches."""
        return len(self._y) // BATCH

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """One batch, always with the same examples."""
        part = slice(index * BATCH, (index + 1) * BATCH)
        return self._X[part], self._y[part]


Parts = tuple[Pair, Pair, Pair]
Together = tuple[DataLoader[Any], Pair, Pair]


def shuffled() -> Parts:
    """10,000 training, 500 validation and 2,000 test images; the lab draws batches anew every epoch."""
    return _cifar10(10_000)


def together() -> Together:
    """The same, in batches of 32 whose examples stay together."""
    return _together(*shuffled())


def everything_shuffled() -> Parts:
    """All of CIFAR-10."""
    return _cifar10(None)


def everything_together() -> Together:
    """All of CIFAR-10, in batches of 32 whose examples stay together."""
    return _together(*everything_shuffled())


def noise_shuffled() -> Parts:
    """Images of noise, to see that a study runs."""
    draw = np.random.default_rng(0)
    X, y = draw.normal(size=(100, 3, 32, 32)).astype(np.float32), np.arange(100) % 10
    return (X[:64], y[:64]), (X[64:80], y[64:80]), (X[80:], y[80:])


def noise_together() -> Together:
    """The same, in batches of 32 whose examples stay together."""
    return _together(*noise_shuffled())


def _together(train: Pair, validation: Pair, test: Pair) -> Together:
    return DataLoader(Shards(*train), batch_size=None, shuffle=True), validation, test


@cache
def _cifar10(train: int | None) -> Parts:
    """The first examples of each part, each color with mean 0 and standard deviation 1 over the training part."""
    data = load("cifar10", progress=False).finish("classification")
    assert isinstance(data, Data)
    sizes = {data.train: train, data.validation: train and 500, data.test: train and 2_000}
    kept = [(part.X[:size].astype(np.float32), part.y[:size]) for part, size in sizes.items()]
    mean, std = (each(kept[0][0], axis=(0, 2, 3), keepdims=True) for each in (np.mean, np.std))
    first, second, third = (((X - mean) / std, y) for X, y in kept)
    return first, second, third
