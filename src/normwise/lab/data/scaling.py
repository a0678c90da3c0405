"""Scaling the inputs, fitted on the training part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from normwise import errors
from normwise.errors import RequestError

How = Literal["raw", "minmax", "standard", "binary"]

CHUNK = 1 << 14
"""Values that are in float64 at one time: 128 KB, which a core caches and which needs no system call."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """The map x ↦ (x − shift)·factor, one pair for each entry of the second axis, the channel or feature.

    ``raw`` is the identity, ``minmax`` maps the training part onto 0 … 1, ``standard`` gives it mean 0 and (biased)
    standard deviation 1. A channel or feature that is constant in the training part is shifted and not stretched.
    ``binary`` is 1 above the middle of the training part's range and else 0.

    Attributes:
        shift: float64, of one example's number of axes: (D,), (C, 1, 1), …; () where examples are single numbers.
        factor: float64, the same shape.
        how: which map it is.
    """

    shift: np.ndarray
    factor: np.ndarray
    how: How = "standard"

    @classmethod
    def fit(cls, how: str, X_train: np.ndarray) -> Scaling:
        """Fits the map on the training part.

        Args:
            how: ``raw``, ``minmax``, ``standard`` or ``binary``.
            X_train: (N, …), N ≥ 1.

        Raises:
            RequestError: ``how`` is something else.
        """
        if how not in get_args(How):
            raise RequestError(errors.choice(how, get_args(How), "inputs"))
        if how == "raw":
            shape = (*X_train.shape[1:2], *(1 for _ in X_train.shape[2:]))
            return cls(np.zeros(shape), np.ones(shape), "raw")
        axes = (0, *range(2, X_train.ndim))
        low = _extreme(np.min, X_train, axes)
        width = _extreme(np.max, X_train, axes) - low
        if how == "binary":
            return cls(low + width / 2, np.ones_like(low), "binary")
        if how == "minmax":
            return cls(low, _inverse(width, width), "minmax")
        mean, std = _moments(X_train, axes)
        return cls(mean, _inverse(std, width), "standard")

    def apply(self, X: np.ndarray) -> np.ndarray:
        """Maps X, of the training part's layout, and returns a new float32 array.

        It is computed in float64, so that features with a large offset keep their digits, a few examples at a time.
        Under ``raw``, int32 becomes int64, as embeddings take it, and float32 and int64 are returned as they are,
        without a copy.
        """
        if self.how == "raw" and X.dtype in (np.float32, np.int32, np.int64):
            return X.astype(np.float32 if X.dtype == np.float32 else np.int64, copy=False)
        scaled = np.empty(X.shape, np.float32)
        for rows in _chunks(X):
            scaled[rows] = X[rows] > self.shift if self.how == "binary" else (X[rows] - self.shift) * self.factor
        return scaled


def _extreme(of: Callable[..., Any], X: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    return np.asarray(of(X, axis=axes, keepdims=True)[0], dtype=np.float64)


def _inverse(spread: np.ndarray, width: np.ndarray) -> np.ndarray:
    """1/spread; 1 for what is constant, that is, varies by less than float32's smallest normal number.

    The width decides, because rounding in the mean gives a constant feature a standard deviation just above 0.
    """
    varies = np.asarray((width > np.finfo(np.float32).tiny) & (spread > np.finfo(np.float32).tiny))
    inverse = np.ones_like(spread)
    inverse[varies] = 1.0 / spread[varies]
    return inverse


def _moments(X: np.ndarray, axes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and biased standard deviation in two passes, in float64, a few examples at a time."""
    count = X.size // (X.shape[1] if X.ndim > 1 else 1)
    mean = sum(X[rows].sum(axis=axes, keepdims=True, dtype=np.float64)[0] for rows in _chunks(X)) / count
    squares = sum(np.square(X[rows] - mean).sum(axis=axes, keepdims=True)[0] for rows in _chunks(X))
    return np.asarray(mean), np.sqrt(squares / count)


def _chunks(X: np.ndarray) -> Iterator[slice]:
    step = max(1, CHUNK // (X.size // len(X)))
    return (slice(start, start + step) for start in range(0, len(X), step))
