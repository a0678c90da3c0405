"""Batches that are too small, are sorted, or are parts of larger ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from torch import nn

from benchmarks.doctor.case import Case, Parts, Ran
from benchmarks.doctor.loop import Part, shuffled
from benchmarks.doctor.misuse.make import (
    Batch,
    case,
    convolutions,
    examined,
    fit,
    images,
    perceptron,
    seen,
    sound,
    vectors,
)

Make = Callable[[], nn.Module]
Data = Callable[[], Parts]


def of_size(
    seed: int,
    steps: int | None,
    *,
    make: Make,
    size: int,
    length: int,
    watch: bool = False,
    every: int = 1,
    data: Data = vectors,
) -> Ran:
    """Trained with batches of ``size``, updated after each ``every``; watched, or examined with such batches."""
    torch.manual_seed(seed)
    network, parts = make(), data()
    batches = shuffled(parts[0], size, every * (steps or length), seed)
    watching = fit(network, batches, every=every, watch=watch)
    return seen(watching, network, parts[0]) if watch else examined(network, parts[1], size)


def sorted_by_class(part: Part, size: int, steps: int, seed: int) -> Iterator[Batch]:
    """Batches of one class each."""
    random = np.random.default_rng(seed)
    X, y = part
    for _ in range(steps):
        chosen = random.choice(np.flatnonzero(y == random.integers(10)), size, replace=False)
        yield torch.from_numpy(X[chosen]), torch.from_numpy(y[chosen])


def in_class_order(seed: int, steps: int | None, *, watch: bool) -> Ran:
    """Trained on batches of one class; watched, or examined with the training data in their order."""
    torch.manual_seed(seed)
    network, parts = perceptron(hidden=4), vectors()
    watching = fit(network, sorted_by_class(parts[0], 32, steps or 300, seed), watch=watch)
    return seen(watching, network, parts[0]) if watch else examined(network, parts[0], 32, sort=True)


def sorted_test(seed: int, steps: int | None) -> Ran:
    """Trained on shuffled batches; the test data come sorted, which evaluation mode does not mind."""
    network, parts = sound(seed, steps)
    return examined(network, parts[1], 32, sort=True)


def balanced(seed: int, steps: int | None) -> Ran:
    """A sampler that puts as many of each class into every batch."""
    torch.manual_seed(seed)
    network, parts = perceptron(), vectors()
    random = np.random.default_rng(seed)
    X, y = parts[0]
    members = [np.flatnonzero(y == label) for label in range(10)]

    def batches() -> Iterator[Batch]:
        for _ in range(steps or 200):
            chosen = np.concatenate([random.choice(each, 4, replace=False) for each in members])
            yield torch.from_numpy(X[chosen]), torch.from_numpy(y[chosen])

    return seen(fit(network, batches(), watch=True), network, parts[0])


SMALL = ("small-batch-statistics", "noisy-statistics")
SORTED = ("sorted-batches", "train-eval-gap")
DEEP = partial(perceptron, hidden=8)

CASES: tuple[Case, ...] = (
    case(
        "batch-of-2", "batches of two", partial(of_size, make=partial(perceptron, hidden=4), size=2, length=600), *SMALL
    ),
    case(
        "batch-of-2-watched",
        "batches of two in eight layers",
        partial(of_size, make=DEEP, size=2, length=500, watch=True),
        *SMALL,
    ),
    case(
        "batch-of-4-images",
        "batches of four images: 256 values per channel",
        partial(of_size, make=convolutions, size=4, length=400, data=images),
    ),
    case("batch-of-16", "batches of sixteen", partial(of_size, make=perceptron, size=16, length=300, watch=True)),
    case(
        "micro-batch-of-2",
        "sixteen batches of two for an update",
        partial(of_size, make=partial(perceptron, hidden=4), size=2, length=150, every=16),
        *SMALL,
    ),
    case(
        "micro-batch-of-2-watched",
        "eight batches of two for an update, eight layers",
        partial(of_size, make=DEEP, size=2, length=200, every=8, watch=True),
        *SMALL,
    ),
    case(
        "micro-batch-of-16",
        "four batches of sixteen for an update",
        partial(of_size, make=perceptron, size=16, length=150, every=4, watch=True),
    ),
    case(
        "micro-batch-images",
        "eight batches of four images for an update",
        partial(of_size, make=convolutions, size=4, length=120, every=8, data=images),
    ),
    case("one-class-batches", "each batch of one class", partial(in_class_order, watch=True), *SORTED),
    case(
        "one-class-batches-examined",
        "each batch of one class",
        partial(in_class_order, watch=False),
        *SORTED,
    ),
    case("sorted-test", "test data sorted by class", sorted_test),
    case("balanced-batches", "as many of each class in every batch", balanced),
)
