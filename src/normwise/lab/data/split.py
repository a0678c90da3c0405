"""Splitting by a fixed seed."""

from __future__ import annotations

import numpy as np

from normwise.errors import DataError
from normwise.lab.data.parts import Part

SEED = 20150211
"""Every split is drawn from this seed, so that a data set's parts are the same in every study and on every machine.

PCG64's raw output is used because NumPy promises to keep it; the order that ``Generator.permutation`` gives may change.
"""


def split(whole: Part, share: float, what: str, *, stratified: bool = True) -> tuple[Part, Part]:
    """Takes a ``share`` of the examples off a part.

    Args:
        whole: the part to divide.
        share: the share to take off, between 0 and 1.
        what: the name of the part taken off, for the error.
        stratified: whether each class gives its share: rounded so that the total is right (largest remainders first),
            but at least one, and it keeps at least one: a class with a single example is only in the part that is left.

    Returns:
        The part that is left and the part taken off, each with its examples in their original order.

    Raises:
        DataError: there are too few examples.
    """
    off = by_class(whole.y, share, what) if stratified else taken(len(whole), share, what)
    return Part(whole.X[~off], whole.y[~off]), Part(whole.X[off], whole.y[off])


def taken(count: int, share: float, what: str) -> np.ndarray:
    """Which of ``count`` examples a plain random split takes off, as truth values: at least one, and not all.

    Raises:
        DataError: there are fewer than two.
    """
    if count < 2:
        raise DataError(f"{count} example is too few to take a {what} part off; {MORE}")
    off = np.zeros(count, dtype=bool)
    off[permutation(count)[: min(max(1, round(count * share)), count - 1)]] = True
    return off


def permutation(count: int) -> np.ndarray:
    """0 … count - 1 in a random order, the same every time."""
    return np.argsort(np.random.PCG64(SEED).random_raw(count), kind="stable")


VALIDATION = 1 / 6
"""The share of the training part that becomes validation where none was given."""

MORE = "give more examples, or return (train, validation, test)"


def by_class(y: np.ndarray, share: float, what: str) -> np.ndarray:
    """Which examples a stratified split takes off, by their labels, as truth values; see ``split``.

    Raises:
        DataError: there are too few examples.
    """
    labels, inverse = np.unique(y.reshape(-1), return_inverse=True)
    counts = np.bincount(inverse)
    quotas = _quotas(counts, share)
    if not quotas.any():
        raise DataError(f"{len(y)} examples of {len(labels)} classes are too few to take a {what} part off; {MORE}")
    order = permutation(len(y))
    order = order[np.argsort(inverse[order], kind="stable")]
    rank = np.arange(len(y)) - np.repeat(np.cumsum(counts) - counts, counts)
    off = np.zeros(len(y), dtype=bool)
    off[order] = rank < np.repeat(quotas, counts)
    return off


def _quotas(counts: np.ndarray, share: float) -> np.ndarray:
    """How many examples of each class to take off: the largest-remainder rounding of ``counts * share``, at least 1."""
    most = np.maximum(counts - 1, 0)
    exact = counts * share
    quotas: np.ndarray = np.minimum(exact.astype(np.int64), most)
    for label in np.argsort(quotas - exact, kind="stable"):
        missing = round(counts.sum() * share) - quotas.sum()
        quotas[label] += int(missing > 0 and quotas[label] < most[label])
    at_least_one: np.ndarray = np.maximum(quotas, np.minimum(most, 1))
    return at_least_one
