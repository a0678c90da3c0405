"""What must hold of the examples of a part, and between the parts of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from normwise.errors import DataError
from normwise.lab.data.parts import Part
from normwise.lab.data.targets import FLOAT32_MAX, IGNORED

if TYPE_CHECKING:
    from normwise.lab.task import Kind

Named = Sequence[tuple[str, Part]]


def examples(X: np.ndarray, what: str) -> np.ndarray:
    """Checks and completes the examples of one part.

    Args:
        X: the examples, (N, …).
        what: what they are, for the error, for example ``X of train``.

    Returns:
        X in its own shape and type (bool as uint8), contiguous, writable and in the machine's byte order.

    Raises:
        DataError: no examples, or values that are no finite numbers; it names the first.
    """
    if X.ndim == 0 or X.size == 0:
        raise DataError(f"{what} is empty, of shape {X.shape}; give at least one example with at least one value")
    if X.dtype.kind not in "biuf":
        raise DataError(f"{what} must be numbers of shape (N, …); got {X.dtype} of shape {X.shape}")
    check_finite(X, what)
    return plain(X.astype(np.uint8) if X.dtype == bool else X)


def plain(values: np.ndarray) -> np.ndarray:
    """Contiguous, writable, native byte order: what ``torch.from_numpy`` takes without a copy or a warning."""
    return np.require(values, dtype=values.dtype.newbyteorder("="), requirements=["C", "W"])


def belong_together(X: np.ndarray, y: np.ndarray, where: str) -> None:
    """Checks that there is a target for each example.

    Raises:
        DataError: there is not; it says how many there are of each.
    """
    if y.ndim == 0 or len(X) != len(y):
        count = "a single target" if y.ndim == 0 else f"{len(y)} targets"
        raise DataError(f"X and y of {where} do not belong together: {len(X)} examples, {count}")


def same_shape(parts: Sequence[tuple[str, np.ndarray, np.ndarray]], name: str) -> None:
    """Checks that the examples of all parts have one shape, and so do their targets.

    Raises:
        DataError: it names both parts and both shapes.
    """
    first, X, y = parts[0]
    for other, following, following_y in parts[1:]:
        for what, one, two in (("examples", X, following), ("targets", y, following_y)):
            if one.shape[1:] != two.shape[1:]:
                raise DataError(
                    f"the parts of {name} have {what} of different sizes: {one.shape[1:]} in {first}, "
                    f"{two.shape[1:]} in {other}"
                )


def learnable(parts: Named, kind: Kind, name: str, classes: Sequence[str]) -> None:
    """Checks that the targets of each part can tell a network that has learned from one that has not.

    Args:
        parts: train first, their targets converted.
        kind: the kind of task.
        name: of the data, for the error.
        classes: the names of the classes, where they have names.

    Raises:
        DataError: one class or one value only; or, with one label an example, a class of train that another part lacks.
    """
    for where, part in parts:
        check_varied(part, kind, f"{where} of {name}")
    if parts[0][1].y.size == len(parts[0][1]) and kind in ("classification", "binary"):
        check_classes(parts, name, classes)


def check_varied(part: Part, kind: Kind, where: str) -> None:
    """Checks that the targets of a part, converted, are not all the same.

    Raises:
        DataError: they are; it says which.
    """
    if is_constant(part.y, kind):
        raise DataError(_constant(_counted(part.y, kind), kind, where, len(part)))


def is_constant(y: np.ndarray, kind: Kind) -> bool:
    """Whether all targets are the same, for a kind of task that needs different ones."""
    values = _counted(y, kind)
    if kind == "other" or values.size == 0:
        return kind != "other"
    axis = 0 if kind in ("regression", "multilabel") else None
    return bool((values.min(axis=axis) == values.max(axis=axis)).all())


def _counted(y: np.ndarray, kind: Kind) -> np.ndarray:
    return y[y != IGNORED] if kind == "classification" else y


def _constant(values: np.ndarray, kind: Kind, where: str, count: int) -> str:
    if values.size == 0:
        return f"{where} has no label but {IGNORED}, which is ignored"
    which = f"{values.flat[0]:g}" + (f", in {count} examples" if count > 1 else ", in its one example")
    if kind in ("regression", "multilabel"):
        return f"the target is constant in {where}: {which}; give examples whose targets differ"
    return f"{where} has one class only, {which}; give examples of at least two"


def check_classes(parts: Named, name: str, classes: Sequence[str]) -> None:
    """Checks that no part lacks a class that the first one has.

    Raises:
        DataError: one does; it names the class.
    """
    (train, first), *others = parts
    labels = np.setdiff1d(first.y, [IGNORED])
    for where, part in others:
        lacking = np.setdiff1d(labels, part.y)
        if len(lacking):
            called = ", ".join(repr(classes[int(each)]) if classes else f"{each:g}" for each in lacking[:5])
            count = int((first.y == lacking[0]).sum())
            raise DataError(
                f"{where} of {name} has no example of class {called}{', …' if len(lacking) > 5 else ''} "
                f"({count} in {train}); give examples of every class in each part, or leave such classes out"
            )


def check_finite(X: np.ndarray, what: str) -> None:
    """Checks that all values are finite in float32: the extremes first, which needs no memory.

    Raises:
        DataError: it names the first value that is not.
    """
    if X.dtype.kind != "f" or (float(X.min()) >= -FLOAT32_MAX and float(X.max()) <= FLOAT32_MAX):
        return
    at = tuple(int(axis) for axis in np.argwhere(~(np.abs(X) <= np.float64(FLOAT32_MAX)))[0])
    place = f"feature {at[1]} of row {at[0]}" if len(at) == 2 else f"the value at {at}"
    raise DataError(
        f"{what} must be finite in float32, in which networks are trained; {place} is {X[at]}; "
        f"remove or replace such values"
    )
