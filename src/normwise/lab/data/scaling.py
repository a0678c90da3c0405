"""Scaling the inputs, fitted on the training part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from normwise import errors
from normwise.errors import RequestError

How = Literal["raw", "minmax", "standard"]

CHUNK = 1 << 14
"""Values that are in float64 at one time: 128 KB, which a core caches and which needs no system call."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """The map x ↦ (x − shift)·factor, one pair for each channel of images and for each feature of tables.

    ``raw`` is the identity, ``minmax`` maps the training part onto 0 … 1, ``standard`` gives it mean 0 and (biased)
    standard deviation 1. A channel or feature that is constant in the training part is shifted and not stretched.

    Attributes:
        shift: float64, (D,) or (C, 1, 1).
        factor: float64, the same shape.
    """

    shift: np.ndarray
    factor: np.ndarray

    @classmethod
    def fit(cls, how: str, X_train: np.ndarray) -> Scaling:
        """Fits the map on the training part.

        Args:
            how: ``raw``, ``minmax`` or ``standard``.
            X_train: (N, D) or (N, C, H, W), N ≥ 1.

        Raises:
            RequestError: ``how`` is something else.
        """
        if how not in get_args(How):
            raise RequestError(errors.choice(how, get_args(How), "inputs"))
        axes = (0, *range(2, X_train.ndim))
        low = X_train.min(axis=axes, keepdims=True)[0].astype(np.float64)
        if how == "raw":
            return cls(np.zeros_like(low), np.ones_like(low))
        width = X_train.max(axis=axes, keepdims=True)[0].astype(np.float64) - low
        if how == "minmax":
            return cls(low, _inverse(width, width))
        mean, std = _moments(X_train, axes)
        return cls(mean, _inverse(std, width))

    def apply(self, X: np.ndarray) -> np.ndarray:
        """Maps X, of the training part's layout, and returns a new float32 array.

        It is computed in float64, so that features with a large offset keep their digits, a few examples at a time.
        """
        scaled = np.empty(X.shape, np.float32)
        for rows in _chunks(X):
            scaled[rows] = (X[rows] - self.shift) * self.factor
        return scaled


def _inverse(spread: np.ndarray, width: np.ndarray) -> np.ndarray:
    """1/spread; 1 for what is constant, that is, varies by less than float32's smallest normal number.

    The width decides, because rounding in the mean gives a constant feature a standard deviation just above 0.
    """
    varies = (width > np.finfo(np.float32).tiny) & (spread > np.finfo(np.float32).tiny)
    inverse = np.ones_like(spread)
    inverse[varies] = 1.0 / spread[varies]
    return inverse


def _moments(X: np.ndarray, axes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and biased standard deviation in two passes, in float64, a few examples at a time."""
    count = X.size // X.shape[1]
    mean = sum(X[rows].sum(axis=axes, keepdims=True, dtype=np.float64)[0] for rows in _chunks(X)) / count
    squares = sum(np.square(X[rows] - mean).sum(axis=axes, keepdims=True)[0] for rows in _chunks(X))
    return mean, np.sqrt(squares / count)


def _chunks(X: np.ndarray) -> Iterator[slice]:
    step = max(1, CHUNK // (X.size // len(X)))
    return (slice(start, start + step) for start in range(0, len(X), step))
