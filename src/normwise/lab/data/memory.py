"""Data in memory: from arrays as they were read to the parts of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from normwise.errors import DataError
from normwise.lab.data import checks, suspicions, targets
from normwise.lab.data.given import Given
from normwise.lab.data.parts import PARTS, Data, Part, fingerprint
from normwise.lab.data.split import VALIDATION, split

if TYPE_CHECKING:
    from normwise.lab.task import Kind

Arrays = tuple[np.ndarray, np.ndarray]
"""X and y as they were read."""

TEST = 1 / 5
"""The share of a whole set that becomes its test part where it is not divided."""


def read_arrays(
    name: str,
    parts: Sequence[Arrays],
    *,
    validation: float = VALIDATION,
    classes: tuple[str, ...] = (),
    features: tuple[str, ...] = (),
    named: bool = False,
    trusted: bool = False,
) -> Given:
    """Checks arrays as they were read.

    Args:
        name: what the user asked for.
        parts: the whole set, (train, test) or (train, validation, test). A whole set gives ``TEST`` of its examples to
            a test part; where there is no validation part, train gives ``validation`` of its own. One label an example
            (classes, or 0 and 1) makes the split stratified; otherwise it is plain random. It is always the same.
        validation: that share.
        classes: the names of the classes, in the order of their numbers; strings are numbered in alphabetical order.
        features: the names of the columns of X, for what is said of them.
        named: as in ``Given``.
        trusted: whether these are well-known data, in which nothing suspicious is looked for.

    Raises:
        DataError: parts that are empty, hold no finite numbers or do not fit together.
    """
    names = PARTS[len(parts)]
    read: list[Arrays] = []
    for part, (X, y) in zip(names, parts, strict=True):
        where = f"{part} of {name}" if len(parts) > 1 else name
        examples = checks.examples(X, f"X of {where}")
        checks.belong_together(examples, y, where)
        read.append((examples, y))
    checks.same_shape([(part, X, y) for part, (X, y) in zip(names, read, strict=True)], name)
    known = classes or targets.class_names([y for _, y in read])

    def build(kind: Kind) -> Data:
        return _build(name, read, kind, validation, known, features, trusted=trusted)

    return Given(name, read[0][1], known, named, build)


def _build(
    name: str,
    read: Sequence[Arrays],
    kind: Kind,
    validation: float,
    classes: tuple[str, ...],
    features: tuple[str, ...],
    *,
    trusted: bool,
) -> Data:
    names = PARTS[len(read)]
    converted = [
        Part(X, checks.plain(targets.convert(y, kind, f"{part} of {name}" if len(read) > 1 else name, classes)))
        for part, (X, y) in zip(names, read, strict=True)
    ]
    parts = _three(converted, kind, name, validation)
    checks.learnable(tuple(zip(PARTS[3], parts, strict=True)), kind, name, classes)
    found = _class_names(classes, parts) if kind == "classification" else ()
    n_outputs = len(found) if kind == "classification" else _outputs(parts[0].y, kind)
    notes = () if trusted else suspicions.of(parts, kind, found, features)
    return Data(name, *parts, kind, fingerprint(*parts), n_outputs, found, notes)


def _three(parts: list[Part], kind: Kind, name: str, validation: float) -> tuple[Part, Part, Part]:
    stratified = kind in ("classification", "binary") and parts[0].y.size == len(parts[0])
    try:
        if len(parts) == 1:
            parts = list(split(parts[0], TEST, "test", stratified=stratified))
        if len(parts) == 2:
            parts = [*split(parts[0], validation, "validation", stratified=stratified), parts[1]]
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
    return parts[0], parts[1], parts[2]


def _class_names(classes: tuple[str, ...], parts: Sequence[Part]) -> tuple[str, ...]:
    largest = max(int(part.y.max()) for part in parts)
    return classes if len(classes) > largest else tuple(map(str, range(largest + 1)))


def _outputs(y: np.ndarray, kind: Kind) -> int:
    return 1 if kind == "binary" else int(np.prod(y.shape[1:]))
