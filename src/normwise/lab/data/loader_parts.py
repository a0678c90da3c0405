"""The parts of data that stream: what is read by an index, and what is only read from first to last."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch.utils.data import (
    DataLoader,
    Dataset,
    default_collate,
)

from normwise.lab.data import seeding

BATCH_SIZE = 60
"""Examples that are read at once where nobody says how many."""

ORDER = "order"
COLLATE = "collate"


class Read(NamedTuple):
    """What came of reading one batch.

    Attributes:
        batch: the batch, as the collate function made it.
        size: how many examples it has; None where that is not known before it is looked at.
        error: what went wrong, in one line, instead.
    """

    batch: Any
    size: int | None
    error: str | None = None


class Inputs:
    """Several arrays of equal length and targets, as a data set."""

    def __init__(self, inputs: tuple[Any, ...] | dict[str, Any], y: Any) -> None:
        self.inputs, self.y = inputs, y

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, rows: Any) -> Any:
        if isinstance(self.inputs, dict):
            return {key: value[rows] for key, value in self.inputs.items()} | {"target": self.y[rows]}
        return (*(value[rows] for value in self.inputs), self.y[rows])


@dataclass(frozen=True, eq=False)
class Indexed:
    """A part whose items are read by an index.

    Attributes:
        name: of the part, for errors.
        dataset: the data set.
        keys: the indices that belong to the part, in order.
        collate: makes a batch of items.
        batch_size: of the loader; None where the comparison chooses it.
        shuffled: whether the order changes every epoch.
        drop_last: whether a last batch that is not full is left out.
        workers: processes that read, of the whole part and of the training batches.
        sampler: the loader's own way to choose indices, where it is not a plain order: a batch sampler, or a sampler
            where each item is a batch already.
        grouped: whether a batch is several items; otherwise each item is one.
        worker_init: what the loader runs in each of its processes.
    """

    name: str
    dataset: Any
    keys: Sequence[Any]
    collate: Callable[[Any], Any] = default_collate
    batch_size: int | None = None
    shuffled: bool = True
    drop_last: bool = True
    workers: int = 0
    sampler: Any = None
    grouped: bool = True
    worker_init: Callable[[int], None] | None = None

    def epoch(self, seed: int, epoch: int, batch_size: int | None) -> list[list[Any]]:
        """The indices of each training batch of one epoch.

        A last batch of one example is left out, because nothing can be normalized over one example.
        """
        size = self.batch_size or batch_size or BATCH_SIZE
        if self.sampler is not None:
            number = seeding.number(ORDER, seed, epoch)
            with seeding.seeded(number):
                groups = drawn(self.sampler, number, epoch, grouped=self.grouped)
        else:
            order = torch.arange(len(self.keys))
            if self.shuffled:
                generator = torch.Generator().manual_seed(seeding.number(ORDER, seed, epoch))
                order = torch.randperm(len(self.keys), generator=generator)
            groups = self.groups(order.tolist(), size)
            if self.drop_last and groups and len(groups[-1]) < size:
                groups.pop()
        if self.grouped and len(groups) > 1 and len(groups[-1]) == 1 < len(groups[0]):
            groups.pop()
        return groups

    def groups(self, places: Sequence[int], batch_size: int | None = None) -> list[list[Any]]:
        """The indices at some places among the part's own, in groups as they are read."""
        size = (self.batch_size or batch_size or BATCH_SIZE) if self.grouped else 1
        keys = [self.keys[place] for place in places]
        return [keys[start : start + size] for start in range(0, len(keys), size)]

    def read(self, groups: Sequence[list[Any]], seed: object, epoch: int, workers: int = 0) -> Iterator[Read]:
        """Reads batches in order; every item and every batch draws from generators seeded by its place."""
        loader: Any = DataLoader(
            Batchwise(self, seed, epoch),
            batch_size=None,
            sampler=groups,
            collate_fn=_same,
            num_workers=workers,
            multiprocessing_context=_context(workers),
            worker_init_fn=self.worker_init,
            generator=torch.Generator().manual_seed(seeding.number(seed, epoch)),
        )
        return iter(loader)

    def draws(self, workers: int) -> bool:
        """Whether reading can draw from the generators of this process."""
        return not (workers or self.in_memory)

    @property
    def in_memory(self) -> bool:
        """Whether batches are gathered from arrays, without a call for each item."""
        return isinstance(self.dataset, Inputs) and self.collate is default_collate and self.grouped


class Batchwise(Dataset[Read]):
    """A data set of batches, indexed by a list of the indices of the items in it."""

    def __init__(self, part: Indexed, seed: object, epoch: int) -> None:
        self.part, self.place = part, (seed, epoch)

    def __getitem__(self, keys: list[Any]) -> Read:
        part = self.part
        if part.in_memory:
            return Read(part.dataset[torch.as_tensor(keys)], len(keys))
        items = []
        for key in keys:
            seeding.seed(seeding.number(*self.place, key))
            try:
                items.append(part.dataset[key])
            except Exception as error:
                return Read(None, None, f"item {key} of {part.name} cannot be read: {_line(error)}")
        return self._collated(items, keys)

    def _collated(self, items: list[Any], keys: list[Any]) -> Read:
        part = self.part
        seeding.seed(seeding.number(COLLATE, *self.place, keys[0]))
        try:
            return Read(part.collate(items if part.grouped else items[0]), len(keys) if part.grouped else None)
        except Exception as error:
            listed = ", ".join(map(str, keys[:3])) + (", …" if len(keys) > 3 else "")
            other = "; give a DataLoader whose collate_fn can, one that pads where sizes differ"
            hint = other if part.collate is default_collate else ""
            return Read(None, None, f"items {listed} of {part.name} cannot be made a batch: {_line(error)}{hint}")


@dataclass(frozen=True, eq=False)
class Streamed:
    """A part that is only read from first to last: a loader over an iterable data set, or one with its own order.

    Attributes:
        name: of the part, for errors.
        loader: the loader.
    """

    name: str
    loader: Any

    def read(self, seed: object, epoch: int) -> Iterator[Read]:
        """Reads an epoch; to be iterated where the generators are seeded by the same place."""
        failed = None
        try:
            for batch in self._started(seed, epoch):
                yield Read(batch, None)
        except Exception as error:
            failed = f"{self.name} cannot be read: {_line(error)}"
            traceback.clear_frames(error.__traceback__)  # which keep the loader's processes
        if failed is not None:
            yield Read(None, None, failed)

    def _started(self, seed: object, epoch: int) -> Any:
        """The user's loader at the beginning of an epoch, with a generator and processes of our own where it can be."""
        drawn = seeding.number(seed, epoch)
        for owner in (self.loader.dataset, self.loader):
            if callable(getattr(owner, "set_epoch", None)):
                owner.set_epoch(epoch)
        if type(self.loader).__iter__ is not DataLoader.__iter__:
            if isinstance(self.loader.generator, torch.Generator):
                self.loader.generator.manual_seed(drawn)
            return self.loader
        return DataLoader(
            self.loader.dataset,
            batch_size=self.loader.batch_size,
            drop_last=self.loader.drop_last,
            collate_fn=self.loader.collate_fn,
            num_workers=self.loader.num_workers,
            multiprocessing_context=_context(self.loader.num_workers),
            worker_init_fn=self.loader.worker_init_fn,
            generator=torch.Generator().manual_seed(drawn),
        )


StreamPart = Indexed | Streamed


def drawn(sampler: Any, seed: int, epoch: int, *, grouped: bool) -> list[list[Any]]:
    """What a sampler gives in one epoch, its own generator seeded, as groups of indices."""
    for owner in (sampler, getattr(sampler, "sampler", None)):
        if isinstance(getattr(owner, "generator", None), torch.Generator):
            owner.generator.manual_seed(seed)  # type: ignore[union-attr]
        if callable(getattr(owner, "set_epoch", None)):
            owner.set_epoch(epoch)  # type: ignore[union-attr]
    return [list(each) if grouped else [each] for each in sampler]


def _context(workers: int) -> str | None:
    """Forked workers have a user's functions, wherever those were defined."""
    return "fork" if workers and sys.platform == "linux" else None


def _same(batch: Any) -> Any:
    return batch


def _line(error: BaseException) -> str:
    """An error in one line; of one in another process, which brings its traceback, the last."""
    text = str(error).strip()
    if "Original Traceback" in text:
        return text.splitlines()[-1]
    return " ".join(f"{type(error).__name__}: {text}".split())
