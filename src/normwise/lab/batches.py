"""The data of one run: mini-batches gathered from tensors in memory, or what a loader gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import prod

import numpy as np
import torch
from torch import Tensor

from normwise.errors import RequestError
from normwise.lab.batch import Batch, Batches, Position
from normwise.lab.data import Data, Scaling, split
from normwise.lab.data.loader_data import LoaderData
from normwise.lab.settings import Settings

CHUNK = 3 << 16
"""Input values at a time where a part is evaluated: what comes of more falls out of the cache."""


def opened(data: Data | LoaderData, settings: Settings, device: torch.device) -> Batches:
    """The batches of one run, on its device."""
    if isinstance(data, LoaderData):
        return data.open(settings.seed, device, settings.batch_size)
    size = settings.batch_size or 1
    chunk = size if settings.task == "other" else _chunk(data)  # a loss of the user's own may compare examples
    return MemoryBatches(tensors(data, settings, device), size, settings.seed, chunk)


def _chunk(data: Data) -> int:
    return min(1000, max(64, CHUNK // max(1, prod(data.example_shape))))


Part = tuple[Tensor, Tensor]


def tensors(data: Data, settings: Settings, device: torch.device) -> dict[str, Part]:
    """The parts of the data, the inputs scaled as the training part asks, on the device."""
    scaling = Scaling.fit(settings.inputs or "raw", data.train.X)
    parts = {"train": data.train, "validation": data.validation, "test": data.test}

    def inputs(X: np.ndarray) -> Tensor:
        return laid_out(torch.from_numpy(scaling.apply(X)).to(device), settings)

    return {name: (inputs(part.X), torch.from_numpy(part.y).to(device)) for name, part in parts.items()}


def laid_out(X: Tensor, settings: Settings) -> Tensor:
    """Inputs as the network takes them: a built-in one floating-point numbers, the user's own what the data hold.

    Images are in channels_last for ``cnn``, which trains faster so on a CPU.
    """
    if "model" in settings.own:
        return X
    X = X if X.is_floating_point() else X.float()
    images = settings.model.partition(":")[0] == "cnn" and X.ndim == 4
    return X.contiguous(memory_format=torch.channels_last) if images else X


class MemoryBatches:
    """Endless mini-batches of one size, in a new random order every epoch.

    One permutation is drawn per epoch; the examples that do not fill a last batch sit that epoch out, so that every
    batch has the same number of examples.
    """

    def __init__(self, parts: dict[str, Part], size: int, seed: int, chunk: int = 1000) -> None:
        self.parts, self.size, self.chunk = parts, size, chunk
        self.X, self.y = parts["train"]
        self._generator = torch.Generator().manual_seed(seed)
        self._shuffle()

    def _shuffle(self) -> None:
        self._epoch_rng = self._generator.get_state()
        order = torch.randperm(len(self.y), generator=self._generator)
        whole = len(order) // self.size * self.size
        self._left = list(torch.split(order[:whole].to(self.X.device), self.size))[::-1]

    def next(self) -> Batch:
        """The next mini-batch."""
        if not self._left:
            self._shuffle()
        rows = self._left.pop()
        X = self.X.index_select(0, rows) if self.X.is_contiguous() else self.X[rows]  # the first is quicker
        return Batch((X,), {}, self.y.index_select(0, rows), self.size)

    def position(self) -> Position:
        """The current position, for a checkpoint."""
        return Position(self._epoch_rng, len(self.y) // self.size - len(self._left))

    def seek(self, position: Position) -> None:
        """Go to a position that ``position`` returned, of batches over the same data."""
        self._generator.set_state(position.epoch_rng)
        self._shuffle()
        del self._left[len(self._left) - position.used :]

    def sample(self, part: str, size: int) -> list[Batch]:
        """The same random examples of a part every time, at most ``size``."""
        X, y = self.parts[part]
        rows = torch.from_numpy(split.permutation(len(y))[:size]).to(y.device)
        return list(self._chunks(X[rows], y[rows]))

    def whole(self, part: str) -> Iterable[Batch]:
        """All examples of a part, in order."""
        return self._chunks(*self.parts[part])

    def _chunks(self, X: Tensor, y: Tensor) -> Iterator[Batch]:
        sizes = _sizes(len(y), self.chunk)
        for inputs, targets in zip(torch.split(X, sizes), torch.split(y, sizes), strict=True):
            yield Batch((inputs,), {}, targets, len(targets))


def _sizes(count: int, chunk: int) -> list[int]:
    """Chunks of one size; a last one of less than half of it is joined to the one before."""
    sizes = [chunk] * (count // chunk) + ([count % chunk] if count % chunk else [])
    if len(sizes) > 1 and sizes[-1] < chunk / 2:
        sizes[-2:] = [sizes[-2] + sizes[-1]]
    return sizes


def first(data: Data | LoaderData, settings: Settings, size: int) -> Batch:
    """The first examples of the training part, as the network is given them."""
    if isinstance(data, LoaderData):
        return data.first(size)
    X = torch.from_numpy(Scaling.fit(settings.inputs or "raw", data.train.X).apply(data.train.X[:size]))
    y = data.train.y[:size]
    return Batch((laid_out(X, settings),), {}, torch.from_numpy(y), len(y))


def sampled_targets(data: Data | LoaderData, part: str, size: int) -> np.ndarray | None:
    """The targets of the examples of a part on which curves are measured; None where they are no array."""
    if isinstance(data, LoaderData):
        return data.targets(part, size)
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    y = parts[part].y
    return np.asarray(y[split.permutation(len(y))[:size]])


TARGETS = 10_000
"""Training targets by which those of a loader are scaled."""


def target_scaling(data: Data | LoaderData, how: str | None) -> tuple[np.ndarray, np.ndarray] | None:
    """Shift and factor that give the training targets mean 0 and standard deviation 1; None for any other ``how``.

    A target that is constant is shifted and not stretched.
    """
    if how != "standard":
        return None
    y = data.targets("train", TARGETS) if isinstance(data, LoaderData) else data.train.y
    if y is None:
        raise RequestError(f"targets of {data.name} are no array, which targets=standard needs; leave it out")
    y = y.astype(np.float64)
    std = y.std(axis=0)
    factor = np.divide(1.0, std, out=np.ones_like(std), where=std > np.finfo(np.float32).tiny)
    return y.mean(axis=0).astype(np.float32), factor.astype(np.float32)
