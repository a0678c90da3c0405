"""The first examples of a data set, where a study needs a small training set of a round size."""

from __future__ import annotations

import numpy as np

from normwise.lab.data import Data, load

Pair = tuple[np.ndarray, np.ndarray]


def _first(name: str, train: int, others: int) -> tuple[Pair, Pair, Pair]:
    data = load(name).finish("classification")
    assert isinstance(data, Data)
    sizes = {data.train: train, data.validation: others, data.test: others}
    a, b, c = ((part.X[:size], part.y[:size]) for part, size in sizes.items())
    return a, b, c


def digits() -> tuple[Pair, Pair, Pair]:
    """1,000 training examples; 300 for validation and 300 for the test."""
    return _first("digits", 1000, 300)


def mnist() -> tuple[Pair, Pair, Pair]:
    """5,000 training examples; 2,000 for validation and 2,000 for the test."""
    return _first("mnist", 5000, 2000)


def fashion_mnist() -> tuple[Pair, Pair, Pair]:
    """The same numbers of Fashion-MNIST."""
    return _first("fashion-mnist", 5000, 2000)
