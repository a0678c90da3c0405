"""The batches of one run over data that stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import torch

from normwise.errors import DataError
from normwise.lab.batch import Batch, Position
from normwise.lab.data import collated, seeding, split
from normwise.lab.data.collated import Collated
from normwise.lab.data.loader_parts import BATCH_SIZE, Indexed, Read, Streamed, StreamPart

FIXED = "fixed"
"""The place by which samples and whole parts are drawn, so that they are the same every time."""


class LoaderBatches:
    """Endless training batches, read anew every epoch, and fixed samples; see ``normwise.lab.batch.Batches``.

    Item ``i`` of epoch ``e`` draws from torch's, NumPy's and Python's generators seeded by (seed, e, i), and so
    does the order of an epoch: a position is the number of an epoch and a number of batches. What an item draws from a
    generator object of its own is not repeated. The generators of the process are left as they were.
    """

    def __init__(
        self,
        parts: Mapping[str, StreamPart],
        on_target: Callable[[Any], Any],
        *,
        seed: int,
        device: Any = "cpu",
        batch_size: int | None = None,
    ) -> None:
        self.parts, self.on_target = parts, on_target
        self.seed, self.device, self.batch_size = seed, device, batch_size
        self._structure: Any = None
        self._epoch, self._used, self._largest = 0, 0, 0
        self._reads: _Isolated | None = None

    def next(self) -> Batch:
        """The next training batch; a new epoch begins where one has ended.

        Raises:
            DataError: an item cannot be read, an epoch has no batch, or a batch is built differently from the first.
        """
        try:
            batch = self._next_in_epoch()
            if batch is None:
                self._go(self._epoch + 1, 0)
                batch = self._next_in_epoch()
        except DataError:
            self._go(self._epoch, self._used)
            raise
        if batch is None:
            raise DataError(empty(self.parts["train"], self.batch_size))
        return batch

    def position(self) -> Position:
        """The number of the epoch, and how many of its batches are used."""
        return Position(torch.tensor(self._epoch), self._used)

    def seek(self, position: Position) -> None:
        """Go to a position that ``position`` returned, of batches over the same data with the same seed."""
        self._go(int(position.epoch_rng), position.used)

    def sample(self, part: str, size: int) -> list[Batch]:
        """About ``size`` examples of a part, the same ones with the same random transforms every time.

        Random ones where items have an index, else the first batches; a last batch of one example is left out.
        """
        return [self._batch(taken, read.size) for taken, read in sample(self.parts[part], size, self.batch_size)]

    def whole(self, part: str) -> Iterator[Batch]:
        """All examples of a part in order, with the same random transforms every time."""
        for taken, read in whole(self.parts[part], self.batch_size):
            yield self._batch(taken, read.size)

    def _go(self, epoch: int, used: int) -> None:
        if self._reads is not None:
            self._reads.close()
        self._epoch, self._used, self._reads = epoch, used, None

    def _begin(self) -> _Isolated:
        """The batches of the epoch behind those that are used."""
        train, place, self._largest = self.parts["train"], (self.seed, self._epoch), 0
        if isinstance(train, Indexed):
            groups = train.epoch(*place, self.batch_size)[self._used :]
            return _Isolated(
                lambda: train.read(groups, *place, train.workers), *place, draws=train.draws(train.workers)
            )
        reads = _Isolated(lambda: train.read(*place), *place)
        for _ in range(self._used):
            self._taken(reads)
        return reads

    def _taken(self, reads: Iterator[Read]) -> tuple[Collated, int | None] | None:
        """The next batch of the epoch; None at its end, where a last batch of one example counts as none."""
        read = next(reads, None)
        if read is None:
            return None
        train = self.parts["train"]
        taken = checked(read, train.name)
        size = collated.count(taken) if read.size is None else read.size
        if isinstance(train, Streamed) and size == 1 < self._largest:
            return None
        self._largest = max(size, self._largest)
        found = collated.structure(taken)
        if self._structure is None:
            self._structure = found
        elif found != self._structure:
            raise DataError(changed(train.name, self._structure, found))
        return taken, size

    def _next_in_epoch(self) -> Batch | None:
        self._reads = self._reads or self._begin()
        found = self._taken(self._reads)
        if found is None:
            return None
        self._used += 1
        return self._batch(*found)

    def _batch(self, taken: Collated, size: int | None) -> Batch:
        return collated.as_batch(taken, size, self.on_target, self.device)


def sample(part: StreamPart, size: int, batch_size: int | None = None) -> list[tuple[Collated, Read]]:
    """About ``size`` examples of a part in batches, the same every time; not its training order.

    Raises:
        DataError: an item cannot be read, a batch has no target, or batches are built differently.
    """
    found: list[tuple[Collated, Read]] = []
    first, sizes = None, []
    with closing(_reads(part, size, batch_size)) as reads:
        for read in reads:
            taken = checked(read, part.name)
            first = first or collated.structure(taken)
            if collated.structure(taken) != first:
                raise DataError(changed(part.name, first, collated.structure(taken)))
            found.append((taken, read))
            sizes.append(collated.count(taken) if read.size is None else read.size)
            if sum(sizes) >= size:
                break
    if not found:
        raise DataError(empty(part, batch_size))
    return found[:-1] if sizes[-1] == 1 < sizes[0] else found


def items(part: Indexed, keys: Sequence[Any], place: object = FIXED) -> list[Collated]:
    """Items as batches of one, by their indices in the data set, with the random transforms of a place.

    Raises:
        DataError: an item cannot be read, or is no batch.
    """
    groups = [[key] for key in keys]
    with closing(_Isolated(lambda: part.read(groups, place, 0), place, 0, draws=part.draws(0))) as reads:
        return [checked(read, part.name) for read in reads]


def whole(part: StreamPart, batch_size: int | None = None) -> Iterator[tuple[Collated, Read]]:
    """All examples of a part in order; where batches are not a loader's own, none has one example alone."""
    if isinstance(part, Indexed):
        groups = part.groups(range(len(part.keys)), batch_size)
        if part.batch_size is None and part.grouped and len(groups) > 1 and len(groups[-1]) == 1:
            groups[-2:] = [groups[-2] + groups[-1]]
        draws = part.draws(part.workers)
        reads = _Isolated(lambda: part.read(groups, FIXED, 0, part.workers), FIXED, 0, draws=draws)
    else:
        reads = _Isolated(lambda: part.read(FIXED, 0), FIXED, 0)
    with closing(reads):
        for read in reads:
            yield checked(read, part.name), read


def _reads(part: StreamPart, size: int, batch_size: int | None) -> _Isolated:
    if isinstance(part, Streamed):
        return _Isolated(lambda: part.read(FIXED, 0), FIXED, 0)
    places = split.permutation(len(part.keys))[:size].tolist()
    groups = part.groups(places, batch_size)
    return _Isolated(lambda: part.read(groups, FIXED, 0), FIXED, 0, draws=part.draws(0))


class _Isolated(Iterator[Read]):
    """An iterator with generator states of its own: those of the process stay as they are between its steps.

    Args:
        start: begins to read.
        place: what the generators are seeded by.
        draws: whether reading can draw in this process; where it cannot, generators are let be, which is faster.
    """

    def __init__(self, start: Callable[[], Iterator[Read]], *place: object, draws: bool = True) -> None:
        with seeding.seeded(seeding.number(*place)):
            self._reads = start()
            self._inside = seeding.States.now()
        self._draws = draws

    def close(self) -> None:
        """Drop the iterator that reads, which ends its worker processes; what follows is the end of the batches."""
        self._reads = iter(())

    def __next__(self) -> Read:
        if not self._draws:
            return next(self._reads)
        outside = seeding.States.now()
        self._inside.restore()
        try:
            return next(self._reads)
        finally:
            self._inside = seeding.States.now()
            outside.restore()


def checked(read: Read, where: str) -> Collated:
    """What was read, taken apart.

    Raises:
        DataError: it could not be read, or is no batch.
    """
    if read.error is not None:
        raise DataError(read.error)
    return collated.take_apart(read.batch, where)


def changed(where: str, first: Any, later: Any) -> str:
    """That a loader's batches are not alike, as an error says it."""
    return (
        f"the batches of {where} are not built alike: first {_shown(first)}, later {_shown(later)}; give every "
        f"batch the same inputs, types and numbers of axes"
    )


def empty(part: StreamPart, batch_size: int | None = None) -> str:
    """That a part yields nothing, as an error says it."""
    if isinstance(part, Streamed):
        return f"{part.name} yields no batch; an iterable data set must start again each time it is iterated"
    size = part.batch_size or batch_size or BATCH_SIZE
    return f"{part.name} yields no batch: {len(part.keys)} examples in batches of {size}; give more, or smaller batches"


def _shown(structure: Any) -> str:
    args, kwargs, target = structure
    inputs = [*map(str, args), *(f"{key}: {value}" for key, value in kwargs.items())]
    return f"({', '.join(inputs)}; target {target})"
