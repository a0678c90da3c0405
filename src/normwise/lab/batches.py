"""Mini-batches gathered from tensors in memory."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Position(NamedTuple):
    """Where a run is in its data: the generator's state when the epoch began, and how many batches of it are used."""

    epoch_rng: Tensor
    used: int


class Batches:
    """Endless mini-batches of one size, in a new random order every epoch.

    One permutation is drawn per epoch; the examples that do not fill a last batch sit that epoch out, so that every
    batch has the same number of examples.
    """

    def __init__(self, X: Tensor, y: Tensor, size: int, seed: int) -> None:
        self.X, self.y, self.size = X, y, size
        self._generator = torch.Generator().manual_seed(seed)
        self._shuffle()

    def _shuffle(self) -> None:
        self._epoch_rng = self._generator.get_state()
        order = torch.randperm(len(self.y), generator=self._generator)
        whole = len(order) // self.size * self.size
        self._left = list(torch.split(order[:whole].to(self.X.device), self.size))[::-1]

    def next(self) -> tuple[Tensor, Tensor]:
        """The next mini-batch (X, y)."""
        if not self._left:
            self._shuffle()
        rows = self._left.pop()
        return self.X.index_select(0, rows), self.y.index_select(0, rows)

    def position(self) -> Position:
        """The current position, for a checkpoint."""
        return Position(self._epoch_rng, len(self.y) // self.size - len(self._left))

    def seek(self, position: Position) -> None:
        """Go to a position that ``position`` returned, of batches over the same data."""
        self._generator.set_state(position.epoch_rng)
        self._shuffle()
        del self._left[len(self._left) - position.used :]
