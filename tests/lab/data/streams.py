"""Data sets for the tests of data that stream."""

from __future__ import annotations

import random

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset


class Noisy(Dataset):
    """Numbered items of two features, each read anew with noise from every global generator."""

    def __init__(self, length: int = 50, first: int = 0) -> None:
        self.length, self.first = length, first

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index):
        noise = torch.rand(2) + np.random.rand() + random.random()  # noqa: NPY002
        return noise / 10 + self.first + index, (self.first + index) % 3


class Stream(IterableDataset):
    """The same items from first to last, shared out between workers."""

    def __init__(self, length: int = 50) -> None:
        self.length = length

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for index in range(first, self.length, step):
            yield torch.rand(2) + np.random.rand() + random.random() + index, index % 3  # noqa: NPY002


def padded(items):
    """Sequences of several lengths as a dict, with noise that the collate function draws itself."""
    longest = max(int(x[0]) % 4 + 2 for x, _ in items)
    x = torch.stack([x[:1].repeat(longest) for x, _ in items]) + torch.rand(())
    return {"x": x, "mask": x > 3, "labels": torch.tensor([y for _, y in items])}
