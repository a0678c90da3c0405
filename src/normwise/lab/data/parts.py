"""Data in memory: three parts, what kind of targets they have, and a fingerprint."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from normwise.lab.task import Kind

PARTS = {1: ("train",), 2: ("train", "test"), 3: ("train", "validation", "test")}
"""What parts are called, by how many there are; a single one is the whole set."""


@dataclass(frozen=True, eq=False)
class Part:
    """Examples and their targets.

    Attributes:
        X: (N, …), in the type that the data came in: uint8 (N, C, H, W) for the named image sets, uint8 for bool. It is
            contiguous and writable, and may be the user's own array; under ``inputs=raw``, float32 and int64 are what
            runs read, without a copy, so nothing may change them in place.
        y: int64 for classification, (N,) or one label for each position, (N, …), where -100 is ignored as in torch;
            float32 (N,), (N, K) or (N, …) for the other kinds of task.
    """

    X: np.ndarray
    y: np.ndarray

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True, eq=False)
class Data:
    """A data set, ready for training.

    Attributes:
        name: what the user asked for, for example ``digits`` or ``train.py:make_data``.
        train: what weights, and the scaling of inputs and targets, are fitted on.
        validation: what choices (learning rate, best step) are made on.
        test: only ever reported.
        kind: of which kind the targets are.
        fingerprint: 16 hexadecimal digits that change when any value, shape or type of any part does.
        n_outputs: how many outputs the targets ask for: the classes of a classification, 1 for binary, the columns of
            the targets otherwise (the values of one example's target where it has more axes).
        classes: for classification the names of the classes, in the order of their numbers; otherwise empty.
        notes: what looks suspicious and is not wrong, one line each.
    """

    name: str
    train: Part
    validation: Part
    test: Part
    kind: Kind
    fingerprint: str
    n_outputs: int
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def example_shape(self) -> tuple[int, ...]:
        """The shape of one example, for example (D,) or (C, H, W)."""
        return self.train.X.shape[1:]

    def batches_per_epoch(self, batch_size: int) -> int:
        """How many whole batches the training part has; the examples left over sit an epoch out."""
        return len(self.train) // batch_size


def fingerprint(*parts: Part) -> str:
    """The first 16 hexadecimal digits of the SHA-256 over each part's X and y: type, shape and bytes, in order."""
    digest = hashlib.sha256()
    for part in parts:
        for array in (part.X, part.y):
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]
