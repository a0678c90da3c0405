"""Running statistics that are too young, spoiled, or not kept."""

from __future__ import annotations

from functools import partial

import torch

from benchmarks.doctor.case import Case, Ran
from benchmarks.doctor.loop import shuffled
from benchmarks.doctor.misuse.make import (
    case,
    convolutions,
    examined,
    fit,
    images,
    norms,
    perceptron,
    seen,
    sound,
    vectors,
)


def with_momentum(seed: int, steps: int | None, *, momentum: float | None, length: int) -> Ran:
    """Trained with another momentum."""
    torch.manual_seed(seed)
    network, parts = perceptron(hidden=3, momentum=momentum), vectors()
    fit(network, shuffled(parts[0], 32, steps or length, seed))
    return examined(network, parts[1])


def reset(seed: int, steps: int | None) -> Ran:
    """Statistics that were reset, and three batches after that."""
    network, parts = sound(seed, steps, hidden=3)
    for norm in norms(network):
        norm.reset_running_stats()
    fit(network, shuffled(parts[0], 32, 3, seed), lr=1e-4)
    return examined(network, parts[1])


def dummy(seed: int, steps: int | None, *, value: float = 1.0, forwards: int = 10, training: bool = True) -> Ran:
    """A forward of made-up inputs after training, as for counting operations or drawing a graph."""
    network, parts = sound(seed, steps, hidden=3)
    network.train(training)
    with torch.no_grad():
        for _ in range(forwards):
            network(value * torch.randn(32, 64))
    return examined(network, parts[1])


def poisoned(seed: int, steps: int | None) -> Ran:
    """A batch with infinity in it, in training mode, without an update."""
    torch.manual_seed(seed)
    parts, network = images(), convolutions()
    fit(network, shuffled(parts[0], 32, steps or 100, seed))
    with torch.no_grad():
        network.train()(torch.full((8, 1, 8, 8), torch.inf))
    return examined(network, parts[1])


def dummy_before(seed: int, steps: int | None) -> Ran:
    """A forward of made-up inputs before training: two hundred batches wash it out."""
    torch.manual_seed(seed)
    network, parts = perceptron(hidden=3), vectors()
    network(10 * torch.randn(32, 64))
    return seen(fit(network, shuffled(parts[0], 32, steps or 250, seed), watch=True), network, parts[0])


def untracked(seed: int, steps: int | None, *, size: int, sort: bool = False) -> Ran:
    """``track_running_stats=False``: evaluation mode uses the moments of its batches."""
    network, parts = sound(seed, steps, hidden=3, track_running_stats=False)
    return examined(network, parts[1], size, sort=sort)


def untracked_watched(seed: int, steps: int | None) -> Ran:
    """The same in training."""
    torch.manual_seed(seed)
    network, parts = perceptron(track_running_stats=False), vectors()
    return seen(fit(network, shuffled(parts[0], 32, steps or 200, seed), watch=True), network, parts[0])


YOUNG = ("stale-statistics", "momentum-convention")
UNTRACKED = "untracked-statistics"

CASES: tuple[Case, ...] = (
    case("momentum-small", "momentum 0.001", partial(with_momentum, momentum=0.001, length=200), *YOUNG),
    case("statistics-reset", "three batches after a reset", reset, "stale-statistics"),
    case("momentum-keras", "momentum 0.01 for 600 steps: enough", partial(with_momentum, momentum=0.01, length=600)),
    case("momentum-none", "the average of all batches", partial(with_momentum, momentum=None, length=300)),
    case("dummy-forward", "ten forwards of noise in training mode", dummy, "foreign-statistics"),
    case("dummy-forward-infinite", "one forward of infinity in training mode", poisoned, "poisoned-statistics"),
    case("dummy-forward-before", "a forward of noise before training", dummy_before),
    case("dummy-forward-evaluating", "ten forwards of noise in evaluation mode", partial(dummy, training=False)),
    case(
        "untracked-two",
        "no running statistics, two at a time",
        partial(untracked, size=2),
        UNTRACKED,
        "small-batch-statistics",
    ),
    case(
        "untracked-sorted",
        "no running statistics, sorted by class",
        partial(untracked, size=16, sort=True),
        UNTRACKED,
        "sorted-batches",
    ),
    case("untracked-large", "no running statistics, 64 at a time", partial(untracked, size=64)),
    case("untracked-watched", "no running statistics, while it trains", untracked_watched),
)
