"""Targets: which kind of task they suggest, and what they become for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from normwise.errors import DataError

if TYPE_CHECKING:
    from normwise.lab.task import Kind

IGNORED = -100
"""The label that ``torch.nn.functional.cross_entropy`` leaves out by default."""

MOST_CLASSES = 1 << 16
"""A network has an output for each label up to the largest: above this, labels are taken to be something else."""

FEW_CLASSES = 20
"""So many different integers are taken for classes in data of any size; in larger data, a twentieth of the examples."""

FLOAT32_MAX = float(np.finfo(np.float32).max)

NUMBER_THEM = "number the classes, for example by np.unique(y, return_inverse=True)"


def kind_of(y: np.ndarray, *, sampled: bool = False, listed: int = 0) -> tuple[Kind, str]:
    """The kind of task that targets suggest, and why in words.

    Strings are classes. So are integers that are numbered from 0 without gaps, with at most ``FEW_CLASSES`` different
    ones or a twentieth of the number of examples; 0s and 1s in several columns are labels that do not exclude each
    other; everything else is a regression.

    Args:
        y: targets as they were given.
        sampled: whether they are a sample, which can lack classes: then gaps between the integers are allowed.
        listed: how many classes the data set lists: a sample of integers below that number are these classes.
    """
    if is_text(y):
        return "classification", "the targets are strings"
    y = _vector(y)
    if y.ndim == 2 and is_zero_one(y):
        return "multilabel", f"the targets are 0 or 1 in {y.shape[1]} columns"
    if y.dtype.kind in "biu" and y.size:
        labels = np.unique(y[y != IGNORED] if y.dtype.kind == "i" else y)
        if sampled and labels.size and 0 <= labels[0] <= labels[-1] < listed:
            return "classification", f"the targets are integers, and the data set lists {listed} classes"
        return _kind_of_integers(labels, len(y), sampled)
    if y.dtype.kind == "f" and y.ndim == 1 and _are_labels(y) and len(np.unique(y)) <= FEW_CLASSES:
        return "regression", "the targets are floats, if whole ones; the task classification takes them for classes"
    return "regression", f"the targets are {'floats' if y.dtype.kind == 'f' else y.dtype}"


def _kind_of_integers(labels: np.ndarray, count: int, sampled: bool) -> tuple[Kind, str]:
    found = f"the targets are {len(labels)} different integers"
    where = f"a sample of {count} examples" if sampled else f"{count} examples"
    if labels.size and labels[0] == 0 and (labels[-1] == len(labels) - 1 or (sampled and labels[-1] < MOST_CLASSES)):
        if len(labels) > max(FEW_CLASSES, count / 20):
            return "regression", f"{found} in {where}"
        few = f"the targets are integers from 0, {len(labels)} different ones in {where}"
        return "classification", few if sampled else "the targets are integers numbered from 0"
    if sampled:
        return "regression", f"{found} that do not begin at 0 in {where}"
    return "regression", f"{found} that are not numbered from 0 without gaps"


def convert(y: np.ndarray, kind: Kind, where: str, classes: Sequence[str] = ()) -> np.ndarray:
    """Targets as a kind of task needs them.

    Args:
        y: targets as they were given, (N,), (N, K) or (N, …).
        kind: the kind of task.
        where: whose they are, for the error, for example ``train``.
        classes: the names that strings are numbered by, in order; those found in ``y`` where empty.

    Returns:
        int64 for classification, (N, 1) as (N,); float32 for binary, multilabel and regression; for ``other`` int64
        or float32, as they were given.

    Raises:
        DataError: targets that do not fit this kind.
    """
    if is_text(y):
        return _numbered(y, kind, where, classes or class_names([y]))
    if y.dtype.kind not in "biuf":
        raise DataError(f"y of {where} must be numbers or the names of classes; got {y.dtype}")
    if y.ndim == 0:
        raise DataError(f"y of {where} must have one target an example, shape (N,) or (N, …); got a single number")
    if kind == "classification":
        return _labels(_vector(y), where)
    if kind in ("binary", "multilabel"):
        _check_zero_one(y, kind, where)
    if kind == "other" and y.dtype.kind in "biu":
        return y.astype(np.int64)
    _check_finite(y, where)
    _check_digits(y, where)
    return y.astype(np.float32)


def is_text(y: np.ndarray) -> bool:
    """Whether these are strings."""
    return y.dtype.kind in "UST" or (y.dtype == object and y.size > 0 and all(isinstance(v, str) for v in y.flat))


def class_names(parts: Sequence[np.ndarray]) -> tuple[str, ...]:
    """The names of the classes over all parts, sorted; empty where targets are no strings."""
    return tuple(sorted({str(name) for y in parts if is_text(y) for name in np.unique(y.astype(str))}))


def is_zero_one(y: np.ndarray) -> bool:
    """Whether all of these are 0 or 1."""
    return y.dtype.kind in "biuf" and bool(((y == 0) | (y == 1)).all())


def is_one_hot(y: np.ndarray) -> bool:
    """Whether each row of a matrix holds one 1 and else 0."""
    return y.ndim == 2 and y.shape[1] > 1 and is_zero_one(y) and bool((y.sum(axis=1) == 1).all())


def _vector(y: np.ndarray) -> np.ndarray:
    return y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y


def _numbered(y: np.ndarray, kind: Kind, where: str, classes: Sequence[str]) -> np.ndarray:
    """Strings as the numbers of their classes."""
    if kind == "binary" and len(classes) != 2:
        raise DataError(f"a binary task has two classes; y of {where} has {len(classes)}: {_some(classes)}")
    if kind not in ("classification", "binary"):
        raise DataError(
            f"y of {where} holds strings, for example {_some(classes)}, which are classes; a {kind} task needs numbers"
        )
    numbers = np.searchsorted(np.asarray(classes), _vector(y).astype(str))
    return numbers.astype(np.int64 if kind == "classification" else np.float32)


def _some(classes: Sequence[str]) -> str:
    return ", ".join(map(repr, classes[:3])) + (", …" if len(classes) > 3 else "")


def _are_labels(y: np.ndarray) -> np.ndarray | bool:
    return bool(((y >= 0) & (y < MOST_CLASSES) & (y == np.floor(y))).all())


def _labels(y: np.ndarray, where: str) -> np.ndarray:
    if is_one_hot(y):
        raise DataError(
            f"y of {where} has shape {y.shape} with one 1 in each row: one-hot rows; give labels, y.argmax(1)"
        )
    values = y.astype(np.float64) if y.dtype.kind == "f" else y
    fits = (values >= 0) & (values < MOST_CLASSES) & (values == np.floor(values))
    wrong = ~(fits | ((values == IGNORED) if y.dtype.kind in "if" else False))
    if wrong.any():
        at = _first(wrong)
        hint = "such targets are a regression" if y.dtype.kind == "f" else NUMBER_THEM
        raise DataError(
            f"y of {where} must be classes, integers from 0 to {MOST_CLASSES - 1}, for classification; "
            f"{_place(at)} is {y[at]}; {hint}"
        )
    return y.astype(np.int64)


def _check_zero_one(y: np.ndarray, kind: Kind, where: str) -> None:
    if kind == "multilabel" and (y.ndim < 2 or y.shape[1] < 2):
        raise DataError(f"y of {where} must have a column for each label, (N, K), for multilabel; got shape {y.shape}")
    wrong = ~((y == 0) | (y == 1))
    if wrong.any():
        at = _first(wrong)
        raise DataError(f"y of {where} must be 0 or 1 for a {kind} task; {_place(at)} is {y[at]}")


def _check_finite(y: np.ndarray, where: str) -> None:
    wrong = ~(np.abs(y) <= np.float64(FLOAT32_MAX)) if y.dtype.kind == "f" else np.zeros(1, bool)
    if wrong.any():
        at = _first(wrong)
        raise DataError(
            f"y of {where} must be finite in float32, in which networks are trained; {_place(at)} is {y[at]}; "
            f"remove or replace such targets"
        )


def _check_digits(y: np.ndarray, where: str) -> None:
    """Refuse targets whose differences float32 rounds away: an offset of 10⁹ leaves steps of 64."""
    values = y.astype(np.float64)
    step, spread = np.abs(values).max() * np.finfo(np.float32).eps, values.std()
    if 0 < spread < 100 * step:
        raise DataError(
            f"y of {where} varies by {spread:.3g} around {values.mean():.6g}, and float32, in which networks are "
            f"trained, tells numbers there apart by {step:.3g}; subtract a constant from y, for example its mean"
        )


def _first(wrong: np.ndarray) -> tuple[int, ...]:
    return tuple(int(axis) for axis in np.argwhere(wrong)[0])


def _place(at: tuple[int, ...]) -> str:
    return f"target {at[0]}" + (f" at {at[1:]}" if len(at) > 1 else "")
