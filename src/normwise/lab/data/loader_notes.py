"""What looks suspicious in data that stream, one line each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from normwise.errors import DataError
from normwise.lab.data import collated, split, suspicions
from normwise.lab.data.collated import Collated
from normwise.lab.data.loader_arrays import PartArrays
from normwise.lab.data.loader_batches import FIXED, items, sample
from normwise.lab.data.loader_parts import Indexed, Inputs, StreamPart

REPEATED = 4
"""Examples that are read twice, to see whether they are the same."""

COMPARED = 16
"""Test items that are compared with the training items of the same index."""

OTHER = "other"
"""A place other than ``FIXED``: there, random transforms come out differently."""


def channels_last(first: Collated) -> Iterator[str]:
    """Images whose channels seem to come last."""
    for value in (*first.args, *first.kwargs.values()):
        note = suspicions.channels_last(value.shape) if isinstance(value, Tensor) else None
        if note:
            yield note


def repeated(
    train: StreamPart, test: StreamPart, train_arrays: PartArrays | None, test_arrays: PartArrays | None
) -> Iterator[str]:
    """Test examples that are in the training data too: of all where both are in memory.

    Of others those of the same data set with the same index; and of two data sets some of the same index.
    """
    if train_arrays is not None and test_arrays is not None:
        known, rows = {*train_arrays.hashes()}, test_arrays.hashes()
        same = sum(row in known for row in rows)
        if same > suspicions.OVERLAP * len(rows):
            yield f"{same} of {len(rows)} test examples are in the training data too"
    elif isinstance(train, Indexed) and isinstance(test, Indexed):
        if _content(train) is _content(test):
            same = len(set(train.keys) & set(test.keys))
            if same:
                yield f"{same} of {len(test.keys)} test examples are in the training data too"
        elif _alike(train, test):
            yield (
                "the test items that were compared are equal to the training items of the same index: where all "
                "are, the test part says nothing about new examples"
            )


def _alike(train: Indexed, test: Indexed) -> bool:
    """Whether some test items are also training items: those that two data sets have under one index."""
    shared = {*train.keys}
    keys = [key for key in (test.keys[place] for place in split.permutation(len(test.keys))) if key in shared]
    try:
        found = [_digests(items(part, keys[:COMPARED], place)) for part, place in ((train, OTHER), (test, FIXED))]
    except DataError:
        return False
    return bool(keys) and found[0] == found[1]


def _content(part: Indexed) -> Any:
    """What tells two parts of one data set from parts of two: its targets where these were taken out of it."""
    return part.dataset.y if isinstance(part.dataset, Inputs) else part.dataset


def unrepeatable(parts: Mapping[str, StreamPart]) -> Iterator[str]:
    """Parts that draw from generators of their own."""
    for part in parts.values():
        once, again = (_digests([taken for taken, _ in sample(part, REPEATED)]) for _ in range(2))
        if once != again:
            yield (
                f"{part.name} is different each time it is read, so no result can be repeated: let it draw from the "
                f"global generators of torch, NumPy or random, which are seeded, not from one of its own"
            )


def augmented(validation: StreamPart) -> Iterator[str]:
    """A validation part that was taken off a training part with random transforms."""
    if isinstance(validation, Indexed) and not validation.in_memory:
        keys = list(validation.keys[:REPEATED])
        once, again, elsewhere = (_digests(items(validation, keys, place)) for place in (FIXED, FIXED, OTHER))
        if once == again != elsewhere:
            yield (
                "validation is a part of train and read with its random transforms; return (train, validation, test) "
                "where it should have none"
            )


def _digests(found: list[Collated]) -> list[str]:
    return [collated.digest(list(each)) for each in found]
