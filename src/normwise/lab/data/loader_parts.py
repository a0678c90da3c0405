"""The parts of data that stream: what is read by an index, and what is only read from first to last."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    default_collate,
    default_convert,
)

from normwise.errors import DataError
from normwise.lab.data import arrays, checks, seeding, split

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
            with seeding.seeded(ORDER, seed, epoch):
                groups = _drawn(self.sampler, seeding.number(ORDER, seed, epoch), epoch, grouped=self.grouped)
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
            seeding.seed(*self.place, key)
            try:
                items.append(part.dataset[key])
            except Exception as error:
                return Read(None, None, f"item {key} of {part.name} cannot be read: {_line(error)}")
        return self._collated(items, keys)

    def _collated(self, items: list[Any], keys: list[Any]) -> Read:
        part = self.part
        seeding.seed(COLLATE, *self.place, keys[0])
        try:
            return Read(part.collate(items if part.grouped else items[0]), len(keys) if part.grouped else None)
        except Exception as error:
            listed = ", ".join(map(str, keys[:3])) + (", …" if len(keys) > 3 else "")
            pad = "; items of different sizes need a DataLoader whose collate_fn pads them"
            hint = pad if part.collate is default_collate else ""
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
        """Starts an epoch; to be iterated where the generators are seeded by the same place."""
        generator = seeding.number(seed, epoch)
        for owner in (self.loader.dataset, self.loader):
            if callable(getattr(owner, "set_epoch", None)):
                owner.set_epoch(epoch)
        if type(self.loader).__iter__ is not DataLoader.__iter__:
            return (Read(batch, None) for batch in self.loader)
        loader: Any = DataLoader(
            self.loader.dataset,
            batch_size=self.loader.batch_size,
            drop_last=self.loader.drop_last,
            collate_fn=self.loader.collate_fn,
            num_workers=self.loader.num_workers,
            multiprocessing_context=_context(self.loader.num_workers),
            worker_init_fn=self.loader.worker_init_fn,
            generator=torch.Generator().manual_seed(generator),
        )
        return (Read(batch, None) for batch in loader)


StreamPart = Indexed | Streamed


def of_pair(name: str, inputs: tuple[Any, ...] | dict[str, Any], y: Any) -> Indexed:
    """A part of several arrays in memory.

    Raises:
        DataError: the arrays have different lengths, or a name is taken.
    """
    named = inputs if isinstance(inputs, dict) else dict(enumerate(inputs))
    if "target" in named:
        raise DataError(f"X of {name} has the key 'target', which is that of y; give the input another name")
    tensors = {key: _tensor(value, f"X[{key!r}] of {name}") for key, value in named.items()}
    target = _tensor(y, f"y of {name}")
    for key, value in tensors.items():
        if value.ndim == 0 or target.ndim == 0 or len(value) != len(target):
            shape = tuple(value.shape)
            raise DataError(
                f"X[{key!r}] and y of {name} do not belong together: shapes {shape} and {tuple(target.shape)}"
            )
    made = Inputs(tensors if isinstance(inputs, dict) else tuple(tensors.values()), target)  # type: ignore[arg-type]
    return Indexed(name, made, range(len(made)))


def of_dataset(name: str, dataset: Any) -> Indexed:
    """A part that is a map-style data set."""
    plain = type(dataset) is TensorDataset and len(dataset.tensors) > 1
    if plain:
        return Indexed(name, Inputs(dataset.tensors[:-1], dataset.tensors[-1]), range(len(dataset)))
    return Indexed(name, dataset, range(len(dataset)))


def of_loader(name: str, loader: Any) -> StreamPart:
    """A part that is a data loader."""
    overridden = type(loader).__iter__ is not DataLoader.__iter__
    if isinstance(loader.dataset, IterableDataset) or overridden:
        return Streamed(name, loader)
    grouped = loader.batch_sampler is not None
    collate = loader.collate_fn
    part = Indexed(
        name,
        loader.dataset,
        range(len(loader.dataset)),
        collate=default_convert if collate is None else collate,
        batch_size=loader.batch_size if grouped else 1,
        drop_last=loader.drop_last,
        workers=loader.num_workers,
        grouped=grouped,
        worker_init=loader.worker_init_fn,
    )
    sampler = loader.sampler
    if type(loader.batch_sampler) not in (BatchSampler, type(None)) or not _is_plain(sampler):
        own = loader.batch_sampler if grouped else sampler
        with seeding.seeded(ORDER, 0, 0):
            drawn = _drawn(own, seeding.number(ORDER, 0, 0), 0, grouped=grouped)
        size = part.batch_size or max(map(len, drawn), default=1)
        return replace(part, sampler=own, keys=_in_order(drawn), batch_size=size)
    if type(sampler) is SubsetRandomSampler:
        return replace(part, keys=sorted(sampler.indices))
    return replace(part, shuffled=type(sampler) is RandomSampler)


def divided(part: StreamPart, share: float) -> tuple[Indexed, Indexed]:
    """A training part without a random share of its items, and that share as the validation part.

    Raises:
        DataError: the part cannot be divided.
    """
    if not isinstance(part, Indexed) or part.sampler is not None:
        why = "is only read from first to last" if isinstance(part, Streamed) else "has a sampler of its own"
        raise DataError(f"{part.name} {why}, so no validation part can be taken off; return (train, validation, test)")
    off = split.taken(len(part.keys), share, f"validation part of {part.name}; its")
    left, taken = ([key for key, other in zip(part.keys, where, strict=True) if other] for where in (~off, off))
    return replace(part, keys=left), replace(part, keys=taken, name=part.name.replace("train", "validation", 1))


def classes_of(part: StreamPart) -> tuple[str, ...]:
    """The names of the classes that a data set says it has, in its attribute ``classes``; empty where it does not."""
    dataset = part.dataset if isinstance(part, Indexed) else part.loader.dataset
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    classes = getattr(dataset, "classes", None)
    return tuple(map(str, classes)) if isinstance(classes, (list, tuple)) else ()


def _is_plain(sampler: Any) -> bool:
    if type(sampler) is RandomSampler:
        return not sampler.replacement and sampler.num_samples == len(sampler.data_source)
    return type(sampler) in (SequentialSampler, SubsetRandomSampler)


def _drawn(sampler: Any, seed: int, epoch: int, *, grouped: bool) -> list[list[Any]]:
    """What a sampler gives in one epoch, its own generator seeded, as groups of indices."""
    for owner in (sampler, getattr(sampler, "sampler", None)):
        if isinstance(getattr(owner, "generator", None), torch.Generator):
            owner.generator.manual_seed(seed)  # type: ignore[union-attr]
        if callable(getattr(owner, "set_epoch", None)):
            owner.set_epoch(epoch)  # type: ignore[union-attr]
    return [list(each) if grouped else [each] for each in sampler]


def _in_order(drawn: list[list[Any]]) -> list[Any]:
    keys = {key for group in drawn for key in group}
    try:
        return sorted(keys)
    except TypeError:
        return sorted(keys, key=repr)


def _tensor(values: Any, where: str) -> Tensor:
    made = checks.plain(arrays.array(values, where))
    if made.dtype.kind not in "biuf" or made.size == 0:
        raise DataError(f"{where} must be numbers, at least one; got {made.dtype} of shape {made.shape}")
    checks.check_finite(made, where)
    tensor: Tensor = torch.from_numpy(made)
    return tensor.float() if tensor.dtype == torch.float64 else tensor


def _context(workers: int) -> str | None:
    """Forked workers have a user's functions, wherever those were defined."""
    return "fork" if workers and sys.platform == "linux" else None


def _same(batch: Any) -> Any:
    return batch


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
