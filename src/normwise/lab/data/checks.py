"""What must hold of a part, and between the parts of a data set."""

from __future__ import annotations

import numpy as np

from normwise.errors import DataError
from normwise.lab.data.parts import Part

FLOAT32_MAX = float(np.finfo(np.float32).max)

MOST_CLASSES = 1 << 16
"""A network has an output for each label up to the largest: above this, labels are taken to be something else."""

NUMBER_THEM = "number the classes, for example by np.unique(y, return_inverse=True)"

Named = tuple[tuple[str, Part], ...]


def part(X: np.ndarray, y: np.ndarray, where: str) -> Part:
    """Checks and completes one part.

    Two axes are a table (N, D); three are grey images (N, H, W), which become (N, 1, H, W); four are images, channels
    first, (N, C, H, W).

    Args:
        X: the examples.
        y: the labels.
        where: the part's name in an error, for example ``train``.

    Returns:
        X in its own type (bool as uint8), y as int64; both contiguous, writable and in the machine's byte order.

    Raises:
        DataError: no examples, another number of axes, numbers that are not finite, or labels that are not classes.
    """
    if X.size == 0:
        raise DataError(f"{where} is empty: X has shape {X.shape}; give at least one example with at least one value")
    if X.ndim not in (2, 3, 4) or X.dtype.kind not in "biuf":
        raise DataError(
            f"X of {where} must be numbers of shape (N, features), (N, H, W) or (N, C, H, W); "
            f"got {X.dtype} of shape {X.shape}"
        )
    labels = _labels(y, where)
    if len(X) != len(labels):
        raise DataError(f"X and y of {where} do not belong together: {len(X)} examples, {len(labels)} labels")
    _check_finite(X, where)
    images = X[:, None] if X.ndim == 3 else X
    return Part(_plain(images.astype(np.uint8) if X.dtype == bool else images), _plain(labels))


def fitting(parts: Named, name: str) -> None:
    """Checks that the parts of a data set have examples of one shape and that train has two classes to tell apart.

    Raises:
        DataError: two shapes, or only one class.
    """
    first, train = parts[0]
    for other, following in parts[1:]:
        if following.X.shape[1:] != train.X.shape[1:]:
            raise DataError(
                f"the parts of {name} have examples of different sizes: {train.X.shape[1:]} in {first}, "
                f"{following.X.shape[1:]} in {other}"
            )
    if train.y.min() == train.y.max():
        raise DataError(f"{first} of {name} has one class only, {train.y[0]}; give examples of at least two")


def _labels(y: np.ndarray, where: str) -> np.ndarray:
    """Labels as int64."""
    if y.ndim != 1:
        hint = "; turn one-hot rows into labels by y.argmax(1)" if y.ndim == 2 and y.shape[1] > 1 else ""
        raise DataError(f"y of {where} must have one label an example, shape (N,); got shape {y.shape}{hint}")
    if y.dtype.kind not in "biuf":
        raise DataError(f"y of {where} must be integers from 0; got {y.dtype}; {NUMBER_THEM}")
    values = y.astype(np.float64) if y.dtype.kind == "f" else y
    wrong = ~((values >= 0) & (values < MOST_CLASSES) & (values == np.floor(values)))
    if wrong.any():
        at = int(np.argmax(wrong))
        raise DataError(
            f"y of {where} must be integers from 0 to {MOST_CLASSES - 1}; label {at} is {y[at]}; {NUMBER_THEM}"
        )
    return y.astype(np.int64)


def _check_finite(X: np.ndarray, where: str) -> None:
    """Looks at the extremes first, which needs no memory; NaN comes through both."""
    if X.dtype.kind != "f" or (float(X.min()) >= -FLOAT32_MAX and float(X.max()) <= FLOAT32_MAX):
        return
    at = tuple(int(axis) for axis in np.argwhere(~(np.abs(X) <= np.float64(FLOAT32_MAX)))[0])
    raise DataError(
        f"X of {where} must be finite in float32, in which networks are trained; the value at {at} is {X[at]}; "
        f"remove or replace such values"
    )


def _plain(values: np.ndarray) -> np.ndarray:
    """Contiguous, writable, native byte order: what ``torch.from_numpy`` takes without a copy or a warning."""
    return np.require(values, dtype=values.dtype.newbyteorder("="), requirements=["C", "W"])
