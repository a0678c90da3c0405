"""The data of the cases: parts of MNIST and CIFAR-10, small sets of scikit-learn's, and synthetic ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from benchmarks.doctor.case import Parts

TRAIN, REST = 3000, 500
"""Examples of the training part, and of validation and test, of the image sets."""


@cache
def _images(name: str) -> Parts:
    from normwise.lab.data import load

    data = load(name, progress=False).finish("classification")
    sizes = {"train": TRAIN, "validation": REST, "test": REST}
    order = np.random.default_rng(0)
    parts = []
    for part, size in sizes.items():
        whole = getattr(data, part)
        chosen = order.permutation(len(whole.y))[:size]
        parts.append((whole.X[chosen].astype(np.float32), whole.y[chosen].astype(np.int64)))
    return tuple(parts)


def mnist(scale: float = 1 / 255, shift: float = 0.0) -> Parts:
    """3000, 500 and 500 digits, pixels times ``scale`` plus ``shift``."""
    return _scaled(_images("mnist"), scale, shift)


def fashion(scale: float = 1 / 255) -> Parts:
    """3000, 500 and 500 clothes, pixels times ``scale``."""
    return _scaled(_images("fashion-mnist"), scale, 0.0)


def cifar(scale: float = 1 / 255, shift: float = 0.0) -> Parts:
    """3000, 500 and 500 photographs at half their size, 16×16, pixels times ``scale`` plus ``shift``."""
    return _scaled(_halved(), scale, shift)


@cache
def _halved() -> Parts:
    return tuple((X.reshape(len(X), 3, 16, 2, 16, 2).mean((3, 5)), y) for X, y in _images("cifar10"))


def _scaled(parts: Parts, scale: float, shift: float) -> Parts:
    return tuple((X * np.float32(scale) + np.float32(shift), y) for X, y in parts)


@cache
def digits(scale: float = 1 / 16) -> Parts:
    """The 8×8 digits of scikit-learn, as vectors."""
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return parted(X * scale, y)


def iris() -> Parts:
    """Fisher's irises, unscaled."""
    from sklearn.datasets import load_iris

    return parted(*load_iris(return_X_y=True))


def parted(X: np.ndarray, y: np.ndarray, *, seed: int = 0) -> Parts:
    """Train (60 %), validation and test (20 % each), shuffled."""
    order = np.random.default_rng(seed).permutation(len(X))
    X = X[order].astype(np.float32)
    y = y[order].astype(np.float32 if y.dtype.kind == "f" else np.int64)
    first, second = int(0.6 * len(X)), int(0.8 * len(X))
    return (X[:first], y[:first]), (X[first:second], y[first:second]), (X[second:], y[second:])


def blobs(classes: int = 3, std: float = 2.0, count: int = 2000, features: int = 2) -> Parts:
    """Normal clouds."""
    from sklearn.datasets import make_blobs

    X, y = make_blobs(count, features, centers=classes, cluster_std=std, random_state=2)
    return parted(X, y)


def circles(count: int = 2000, noise: float = 0.1) -> Parts:
    """Two rings, one in the other."""
    from sklearn.datasets import make_circles

    return parted(*make_circles(count, noise=noise, factor=0.5, random_state=1))


def moons(count: int = 2000, noise: float = 0.2) -> Parts:
    """Two half moons."""
    from sklearn.datasets import make_moons

    return parted(*make_moons(count, noise=noise, random_state=1))


def xor(count: int = 1000) -> Parts:
    """The four points of exclusive or, again and again."""
    X = np.random.default_rng(0).integers(0, 2, (count, 2))
    return parted(X.astype(float), (X[:, 0] ^ X[:, 1]).astype(float)[:, None])


def classes(count: int = 2000, features: int = 20, number: int = 4, scales: float = 1.0, shift: float = 0.0) -> Parts:
    """A classification of numbers; features have deviations from 1 to ``scales``."""
    from sklearn.datasets import make_classification

    X, y = make_classification(
        count, features, n_informative=features // 2, n_classes=number, class_sep=1.5, random_state=0
    )
    return parted(X * np.geomspace(1, scales, features) + shift, y)


def binary(count: int = 2000, features: int = 8, scales: float = 1.0, share: float = 0.5) -> Parts:
    """Two classes as targets of 0 and 1 (float), features of deviations from 1 to ``scales``."""
    from sklearn.datasets import make_classification

    X, y = make_classification(
        count, features, n_informative=features // 2, weights=[1 - share], class_sep=1.5, random_state=0
    )
    return parted(X * np.geomspace(1, scales, features), y.astype(float)[:, None])


def function(f: Callable[[np.ndarray], np.ndarray], span: float = 1.0, count: int = 2000, noise: float = 0.0) -> Parts:
    """y = f(x) + noise for one x, uniform in ±span."""
    random = np.random.default_rng(0)
    x = random.uniform(-span, span, (count, 1))
    return parted(x, f(x) + noise * random.standard_normal((count, 1)))


def regression(
    count: int = 2000, features: int = 10, outputs: int = 1, noise: float = 0.1, scale: float = 1.0, shift: float = 0.0
) -> Parts:
    """A smooth function of several features; ``noise`` is in deviations of the function, outputs are scaled."""
    random = np.random.default_rng(0)
    X = random.standard_normal((count, features))
    hidden = np.tanh(X @ random.standard_normal((features, 16)) / features**0.5)
    y = hidden @ random.standard_normal((16, outputs))
    y = (y - y.mean(0)) / y.std(0) + noise * random.standard_normal((count, outputs))
    return parted(X, y * scale + shift)


def noisy_digits() -> Parts:
    """The 8×8 digits with noise as images, and without it as targets."""
    random = np.random.default_rng(1)

    def pair(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        noisy = X + 0.3 * random.standard_normal(X.shape).astype(np.float32)
        return noisy.reshape(-1, 1, 8, 8), X

    return tuple(pair(X) for X, _ in digits())


def reconstruction() -> Parts:
    """The 8×8 digits as inputs and as targets."""
    return tuple((X, X) for X, _ in digits())


def few_digits() -> Parts:
    """A hundred digits to train on."""
    (X, y), *rest = digits()
    return (X[:100], y[:100]), *rest


def noisy_labels() -> Parts:
    """Digits, a third of their labels drawn anew."""
    random = np.random.default_rng(1)

    def wrong(y: np.ndarray) -> np.ndarray:
        return np.where(random.random(len(y)) < 1 / 3, random.integers(0, 10, len(y)), y)

    return tuple((X, wrong(y)) for X, y in digits())


def imbalanced() -> Parts:
    """Digits, of class k a share of 1/(1 + k)."""
    random = np.random.default_rng(1)

    def kept(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        chosen = random.random(len(y)) < 1 / (1 + y)
        return X[chosen], y[chosen]

    return tuple(kept(X, y) for X, y in digits())


def cancer() -> Parts:
    """scikit-learn's breast cancers, standardized."""
    from sklearn.datasets import load_breast_cancer

    X, y = load_breast_cancer(return_X_y=True)
    return parted((X - X.mean(0)) / X.std(0), y.astype(float)[:, None])


def multilabel() -> Parts:
    """Six labels, each the sign of a projection with noise."""
    random = np.random.default_rng(0)
    X = random.standard_normal((2000, 20))
    y = X @ random.standard_normal((20, 6)) + random.standard_normal((2000, 6)) > 0
    return parted(X, y.astype(float))


def heteroscedastic() -> Parts:
    """A smooth function whose noise grows with the first feature."""
    parts = regression(noise=0.0)
    random = np.random.default_rng(1)

    def noisy(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        noise = np.exp(X[:, :1]) * random.standard_normal(y.shape) * 0.6
        return X, (y + noise).astype(np.float32)

    return tuple(noisy(X, y) for X, y in parts)


def sentences(count: int = 2000, length: int = 24, tokens: int = 50) -> Parts:
    """Sequences of tokens of two classes, which prefer tokens of their own half."""
    random = np.random.default_rng(0)
    y = random.integers(0, 2, count)
    own = random.random((count, length)) < 0.65
    half = tokens // 2
    X = random.integers(0, half, (count, length)) + half * np.where(own, y[:, None], 1 - y[:, None])
    train, validation, test = parted(X.astype(float), y)
    return tuple((X.astype(np.int64), y) for X, y in (train, validation, test))


def waves(count: int = 1500, length: int = 64) -> Parts:
    """Noisy sines of three frequencies, of shape (1, length)."""
    random = np.random.default_rng(0)
    y = random.integers(0, 3, count)
    time = np.linspace(0, 2 * np.pi, length)
    phase = random.uniform(0, 2 * np.pi, (count, 1))
    X = np.sin((2 + 3 * y[:, None]) * time + phase) + 0.5 * random.standard_normal((count, length))
    return parted(X[:, None], y)
