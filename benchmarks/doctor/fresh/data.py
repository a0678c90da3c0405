"""The data of fresh cases: photographs of clothes, small sets of scikit-learn's, sequences, signals and tables."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from benchmarks.doctor import data
from benchmarks.doctor.case import Parts
from benchmarks.doctor.data import parted

TOKENS, LENGTH = 20, 12
"""Of the sequences of ``order``."""


def changed(parts: Parts, change: Callable[[np.ndarray], np.ndarray]) -> Parts:
    """The parts with other inputs."""
    return tuple((change(X).astype(np.float32), y) for X, y in parts)


def first(parts: Parts, count: int) -> Parts:
    """The parts with so many training examples."""
    (X, y), *rest = parts
    return (X[:count], y[:count]), *rest


def shells(classes: int = 3, features: int = 4, wrong: float = 0.0, binary: bool = False) -> Parts:
    """Shells about 0 of normal points, a share of the training labels drawn anew."""
    from sklearn.datasets import make_gaussian_quantiles

    X, y = make_gaussian_quantiles(n_samples=2000, n_features=features, n_classes=classes, random_state=3)
    random = np.random.default_rng(3)
    y = np.where(random.random(len(y)) < wrong, random.integers(0, classes, len(y)), y)
    return parted(X, y.astype(float)[:, None] if binary else y)


def friedman(
    scale: float = 1.0, shift: float = 0.0, noise: float = 0.1, features: int = 10, count: int = 2000
) -> Parts:
    """Friedman's first function of inputs between 0 and 1; the target has a deviation of ``scale`` about ``shift``."""
    from sklearn.datasets import make_friedman1

    X, y = make_friedman1(count, features, random_state=0)
    y = (y - y.mean()) / y.std() + noise * np.random.default_rng(1).standard_normal(count)
    return parted(X, (y * scale + shift)[:, None])


def centered(**options: Any) -> Parts:
    """The same with inputs between −1 and 1."""
    return changed(friedman(**options), lambda X: 2 * X - 1)


def wine(scaled: bool = True) -> Parts:
    """scikit-learn's wines, standardized or with their thirteen units."""
    from sklearn.datasets import load_wine

    X, y = load_wine(return_X_y=True)
    return parted((X - X.mean(0)) / X.std(0) if scaled else X, y)


def diabetes() -> Parts:
    """scikit-learn's diabetics, inputs and targets standardized: an R² of about one half."""
    from sklearn.datasets import load_diabetes

    X, y = load_diabetes(return_X_y=True)
    return parted(X / X.std(0), ((y - y.mean()) / y.std())[:, None])


def stamped(scale: float = 1.6e9) -> Parts:
    """A table of nine standard features and the time in seconds, which says nothing."""
    (X, y), *rest = data.classes(features=9, number=3)
    random = np.random.default_rng(0)

    def with_time(X: np.ndarray) -> np.ndarray:
        return np.concatenate([X, scale * (1 + 0.02 * random.standard_normal((len(X), 1)))], 1)

    return changed(((X, y), *rest), with_time)


def order(count: int = 3000) -> Parts:
    """Tokens: whether a 0 comes before a 1, each of which occurs once."""
    random = np.random.default_rng(0)
    X = random.integers(2, TOKENS, (count, LENGTH))
    places = np.argsort(random.random((count, LENGTH)), 1)[:, :2]
    rows = np.arange(count)
    X[rows, places[:, 0]], X[rows, places[:, 1]] = 0, 1
    return tokens(X, places[:, 0] < places[:, 1])


def topics(count: int = 2000, length: int = 20, words: int = 120, number: int = 4) -> Parts:
    """Tokens of four topics, each with words that it prefers."""
    random = np.random.default_rng(0)
    y = random.integers(0, number, count)
    own = random.random((count, length)) < 0.4
    common = random.integers(0, words, (count, length))
    special = y[:, None] * (words // number) + random.integers(0, words // number, (count, length))
    return tokens(np.where(own, special, common), y)


def tokens(X: np.ndarray, y: np.ndarray) -> Parts:
    """Parts of whole numbers."""
    return tuple((X.astype(np.int64), y) for X, y in parted(X.astype(float), y.astype(int)))


@cache
def bursts(count: int = 2000, length: int = 64, rare: float = 0.0) -> Parts:
    """Noise of shape (1, length) with a short square, triangle or wave somewhere, or nothing: four classes.

    With ``rare``, whether there is something, as 0 or 1, which that share of the signals has.
    """
    random = np.random.default_rng(0)
    width = 12
    time = np.linspace(0, 1, width)
    shapes = np.stack([0 * time, 1 + 0 * time, 1 - np.abs(2 * time - 1), np.sin(6 * np.pi * time)])
    y = random.integers(0, 4, count)
    if rare:
        y = np.where(random.random(count) < rare, 3, 0)
    X = 0.3 * random.standard_normal((count, length))
    for row, (start, label) in enumerate(zip(random.integers(0, length - width, count), y, strict=True)):
        X[row, start : start + width] += 2 * shapes[label]
    return parted(X[:, None], (y > 0).astype(float)[:, None] if rare else y)


def walks(count: int = 2000, length: int = 24) -> Parts:
    """Paths of shape (length, 1); the target is the largest value so far at the end."""
    X = np.cumsum(np.random.default_rng(0).standard_normal((count, length)), 1) / length**0.5
    y = X.max(1)
    return parted(X[:, :, None], ((y - y.mean()) / y.std())[:, None])


def categories(count: int = 2500, variables: int = 6, levels: int = 12) -> Parts:
    """Six categorical variables as 72 columns of 0 and 1; three classes by the sum of effects."""
    random = np.random.default_rng(0)
    X = random.integers(0, levels, (count, variables))
    effects = random.standard_normal((variables, levels))
    total = effects[np.arange(variables), X].sum(1)
    return parted(np.eye(levels)[X].reshape(count, -1), np.digitize(total, np.quantile(total, (1 / 3, 2 / 3))))


def counts(count: int = 2500) -> Parts:
    """Counts from 0, Poisson of a rate that depends on six features."""
    random = np.random.default_rng(0)
    X = random.uniform(-1, 1, (count, 6))
    rate = np.exp(0.5 + 1.2 * X[:, 0] + np.sin(3 * X[:, 1]) * X[:, 2])
    return parted(X, random.poisson(rate).astype(float)[:, None])


def waiting(count: int = 2500) -> Parts:
    """Positive times with a skew."""
    random = np.random.default_rng(0)
    X = random.standard_normal((count, 5))
    return parted(
        X, np.exp(0.8 * np.tanh(X[:, 0] + X[:, 1]) + 0.5 * X[:, 2] + 0.1 * random.standard_normal(count))[:, None]
    )


def grades(count: int = 2500, number: int = 5) -> Parts:
    """Five ordered classes."""
    random = np.random.default_rng(0)
    X = random.standard_normal((count, 8))
    total = X @ random.standard_normal(8) + X[:, 0] * X[:, 1] + 0.3 * random.standard_normal(count)
    return parted(X, np.digitize(total, np.quantile(total, np.arange(1, number) / number)))


def mixed() -> Parts:
    """Digits; in training, pairs of them mixed, targets the shares of ten classes (Zhang et al. 2018)."""
    random = np.random.default_rng(1)
    (X, y), *rest = ((X, np.eye(10, dtype=np.float32)[y]) for X, y in data.digits())
    other = random.permutation(len(X))
    share = random.beta(0.3, 0.3, (len(X), 1)).astype(np.float32)
    return (share * X + (1 - share) * X[other], share * y + (1 - share) * y[other]), *rest


def tags(count: int = 2500, features: int = 16, number: int = 5) -> Parts:
    """Five labels, each true where two features have the same sign or a third is large."""
    X = np.random.default_rng(0).standard_normal((count, features))
    a, b, c = (X[:, start : start + number] for start in (0, number, 2 * number))
    return parted(X, ((a * b > 0) | (c > 1.5)).astype(float))


def chirp(count: int = 2000) -> Parts:
    """A function of one number between −1 and 1 that goes up and down many times."""

    def f(x: Any) -> Any:
        return np.sin(12 * x) + np.cos(25 * x * x)

    return data.function(f, 1.0, count, noise=0.1)


def flat(scale: float = 1 / 255) -> Parts:
    """The clothes as vectors of 784."""
    return changed(data.fashion(scale), lambda X: X.reshape(len(X), -1))
