"""What every data set becomes: three parts, a number of classes and a fingerprint."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Part:
    """Examples and their labels.

    Attributes:
        X: (N, D) for tables, (N, C, H, W) for images, in the type the data came in (uint8 for the named image sets),
            contiguous and writable, so that ``torch.from_numpy`` shares its memory.
        y: (N,) int64, each in 0 … classes - 1.
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
        train: what weights, and the scaling of the inputs, are fitted on.
        validation: what choices (learning rate, best step) are made on.
        test: only ever reported.
        classes: the number of classes; labels are 0 … classes - 1.
        fingerprint: 16 hexadecimal digits that change when any value, shape or type of any part does.
    """

    name: str
    train: Part
    validation: Part
    test: Part
    classes: int
    fingerprint: str

    @property
    def example_shape(self) -> tuple[int, ...]:
        """The shape of one example: (D,) or (C, H, W)."""
        return self.train.X.shape[1:]


def fingerprint(*parts: Part) -> str:
    """The first 16 hexadecimal digits of the SHA-256 over each part's X and y: type, shape and bytes, in order."""
    digest = hashlib.sha256()
    for part in parts:
        for array in (part.X, part.y):
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]
