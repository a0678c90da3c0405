"""Stratified splitting by a fixed seed."""

from __future__ import annotations

import numpy as np

from normwise.errors import DataError
from normwise.lab.data.parts import Part

SEED = 20150211
"""Every split is drawn from this seed, so that a data set's parts are the same in every study and on every machine.

PCG64's raw output is used because NumPy promises to keep it; the order that ``Generator.permutation`` gives may change.
"""


def split(whole: Part, share: float, what: str) -> tuple[Part, Part]:
    """Takes a stratified ``share`` of the examples off a part.

    Each class gives ``share`` of its examples, rounded so that the total is right (largest remainders first), but keeps
    at least one: a class with a single example is only in the part that is left.

    Args:
        whole: the part to divide.
        share: the share to take off, between 0 and 1.
        what: the name of the part taken off, for the error.

    Returns:
        The part that is left and the part taken off, each with its examples in their original order.

    Raises:
        DataError: no class has an example to spare.
    """
    counts = np.bincount(whole.y)
    taken = _quotas(counts, share)
    if not taken.any():
        raise DataError(
            f"{len(whole)} examples of {np.count_nonzero(counts)} classes are too few to take a {what} part off; "
            f"give more examples, or return (train, validation, test)"
        )
    order = np.argsort(np.random.PCG64(SEED).random_raw(len(whole)), kind="stable")
    order = order[np.argsort(whole.y[order], kind="stable")]
    rank = np.arange(len(whole)) - np.repeat(np.cumsum(counts) - counts, counts)
    off = np.zeros(len(whole), dtype=bool)
    off[order] = rank < np.repeat(taken, counts)
    return Part(whole.X[~off], whole.y[~off]), Part(whole.X[off], whole.y[off])


def _quotas(counts: np.ndarray, share: float) -> np.ndarray:
    """How many examples of each class to take off: the largest-remainder rounding of ``counts * share``."""
    most = np.maximum(counts - 1, 0)
    exact = counts * share
    taken: np.ndarray = np.minimum(exact.astype(np.int64), most)
    for label in np.argsort(taken - exact, kind="stable"):
        missing = round(counts.sum() * share) - taken.sum()
        taken[label] += int(missing > 0 and taken[label] < most[label])
    return taken
