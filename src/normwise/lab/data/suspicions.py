"""What looks suspicious in data and is not wrong: one line each, and the comparison goes on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from normwise.lab.data.parts import Part
from normwise.lab.data.targets import IGNORED, is_one_hot

if TYPE_CHECKING:
    from normwise.lab.task import Kind

OVERLAP = 0.1
"""A smaller share of test examples that are in train too is not mentioned."""

CHANNELS = (1, 3, 4)
LISTED = 5


def of(
    parts: tuple[Part, Part, Part], kind: Kind, classes: Sequence[str] = (), features: Sequence[str] = ()
) -> tuple[str, ...]:
    """What a reader of a result should know about its data.

    Args:
        parts: train, validation and test, their targets converted.
        kind: the kind of task.
        classes: the names of the classes.
        features: the names of the columns of X, where they have names.
    """
    train, validation, test = parts
    found = [
        _overlap(train, test),
        _untrained_classes(train, validation, test, classes) if kind == "classification" else None,
        _constant_columns(train.X, "feature", "X", features),
        _constant_columns(train.y, "target", "y", ()) if kind in ("regression", "multilabel") else None,
        channels_last(train.X.shape),
        _one_hot(train.y) if kind == "multilabel" else None,
    ]
    return tuple(line for line in found if line is not None)


def _overlap(train: Part, test: Part) -> str | None:
    if train.X.shape == test.X.shape and np.array_equal(train.X, test.X) and np.array_equal(train.y, test.y):
        return "test is equal to the training data: it says nothing about new examples"
    known = {_row(row) for row in train.X}
    same = sum(_row(row) in known for row in test.X)
    if same <= OVERLAP * len(test):
        return None
    return f"{same} of {len(test)} test examples are in the training data too"


def _row(row: np.ndarray) -> int:
    return hash(row.tobytes())


def _untrained_classes(train: Part, validation: Part, test: Part, classes: Sequence[str]) -> str | None:
    known = {*np.unique(train.y), IGNORED}
    in_validation, in_test = ({*np.unique(part.y)} - known for part in (validation, test))
    if in_validation | in_test:
        names = _listed(classes[int(each)] for each in sorted(in_validation | in_test))
        where = " and ".join(part for part, found in (("validation", in_validation), ("test", in_test)) if found)
        return f"class {names} is in {where} and not in the training data: it cannot be learned"
    absent = [name for number, name in enumerate(classes) if number not in known]
    return f"class {_listed(absent)} has no example; labels are numbered from 0" if absent else None


def _constant_columns(values: np.ndarray, what: str, where: str, names: Sequence[str]) -> str | None:
    if values.ndim != 2:
        return None
    constant = np.flatnonzero(values.min(axis=0) == values.max(axis=0))
    if not len(constant):
        return None
    if len(constant) == values.shape[1]:
        return f"every {what} is constant in {where} of train"
    listed = _listed(names[int(each)] if names else str(each) for each in constant)
    return f"{what}{'s' if len(constant) > 1 else ''} {listed} of {where} {_are(constant)} constant in train"


def _are(found: np.ndarray) -> str:
    return "are" if len(found) > 1 else "is"


def channels_last(shape: Sequence[int]) -> str | None:
    """Whether inputs of this shape, (N, …), look like images whose channels come last, in words."""
    if len(shape) != 4 or shape[-1] not in CHANNELS or shape[1] in CHANNELS:
        return None
    return (
        f"images of shape {tuple(shape[1:])}: the last axis looks like the channels, which torch expects first "
        f"(X.transpose(0, 3, 1, 2))"
    )


def _one_hot(y: np.ndarray) -> str | None:
    return "every row of y holds one 1: if these are one-hot rows, give labels, y.argmax(1)" if is_one_hot(y) else None


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(every[:LISTED]) + (f", … ({len(every)})" if len(every) > LISTED else "")
