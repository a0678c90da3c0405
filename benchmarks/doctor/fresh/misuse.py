"""Misuse of batch normalization: four that harm, and four that look like them and do not."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import nn

from benchmarks.doctor.case import Case, Parts, Ran
from benchmarks.doctor.data import digits
from benchmarks.doctor.loop import shuffled
from benchmarks.doctor.misuse.make import Batch, case, convolutions, examined, fit, norms, perceptron, seen, sound


def rows() -> Parts:
    """Digits as signals of eight channels and eight places."""
    return tuple((X.reshape(-1, 8, 8), y) for X, y in digits())


def scanned() -> nn.Sequential:
    """1-d convolutions over the columns with batch normalization."""
    return nn.Sequential(
        nn.Conv1d(8, 32, 3, padding=1), nn.BatchNorm1d(32), nn.ReLU(), nn.Conv1d(32, 32, 3, padding=1),
        nn.BatchNorm1d(32), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10),
    )  # fmt: skip


def keras_momentum(seed: int, steps: int | None, *, size: int) -> Ran:
    """A momentum of 0.99, which is Keras's 0.01: the statistics are those of the last batch."""
    torch.manual_seed(seed)
    network, parts = perceptron(hidden=8, momentum=0.99), digits()
    fit(network, shuffled(parts[0], size, steps or 300, seed))
    return examined(network, parts[1])


def raw_pixels(seed: int, steps: int | None) -> Ran:
    """A look at raw pixels, 0 to 16, in training mode."""
    network, parts = sound(seed, steps, hidden=3)
    network.train()
    with torch.no_grad():
        for x, _ in shuffled(digits(1.0)[0], 64, 30, seed):
            network(x)
    return examined(network, parts[1])


def averaged(seed: int, steps: int | None) -> Ran:
    """Weights averaged over steps far apart, statistics collected anew."""
    network, parts = sound(seed, steps, hidden=3)
    mean = torch.optim.swa_utils.AveragedModel(network)
    for part in range(4):
        fit(network, shuffled(parts[0], 32, steps or 100, seed + part), lr=0.02)
        mean.update_parameters(network)
    torch.optim.swa_utils.update_bn(shuffled(parts[0], 64, 30, seed), mean)
    return examined(mean.module, parts[1])


def windows(seed: int, steps: int | None, *, size: int) -> Ran:
    """Batches of one digit's copies with noise, as neighboring windows of one recording are."""
    torch.manual_seed(seed)
    network, (X, y) = perceptron(hidden=4), digits()[0]
    random = np.random.default_rng(seed)

    def batches() -> Iterator[Batch]:
        for _ in range(steps or 400):
            chosen = random.choice(len(X), size, replace=False).repeat(32 // size)
            noisy = X[chosen] + 0.05 * random.standard_normal((len(chosen), 64))
            yield torch.from_numpy(noisy.astype(np.float32)), torch.from_numpy(y[chosen])

    return seen(fit(network, batches(), watch=True), network, (X, y))


def two_signals(seed: int, steps: int | None) -> Ran:
    """Two signals a batch, with eight places each."""
    torch.manual_seed(seed)
    network, parts = scanned(), rows()
    return seen(fit(network, shuffled(parts[0], 2, steps or 600, seed), lr=0.001, watch=True), network, parts[0])


def other_weights(seed: int, steps: int | None) -> Ran:
    """Statistics of another network of the same shape."""
    network, parts = sound(seed, steps, hidden=3)
    other, _ = sound(seed + 10, steps, hidden=3)
    network.load_state_dict(dict(other.named_buffers()), strict=False)
    return examined(network, parts[1])


def tuned_frozen(seed: int, steps: int | None) -> Ran:
    """Fine-tuning of all weights with a small rate, normalizations in evaluation mode."""
    torch.manual_seed(seed)
    parts = tuple((X.reshape(-1, 1, 8, 8), y) for X, y in digits())
    network = convolutions()
    fit(network, shuffled(parts[0], 32, steps or 100, seed))
    for norm in norms(network):
        norm.eval()
    watch = fit(network, shuffled(parts[0], 8, steps or 200, seed + 1), lr=2e-4, watch=True)
    return seen(watch, network, parts[0])


CASES: tuple[Case, ...] = (
    case(
        "momentum-of-keras",
        "momentum 0.99, batches of eight",
        partial(keras_momentum, size=8),
        "momentum-convention",
        "noisy-statistics",
    ),
    case("raw-pixels-seen", "unscaled data in training mode", raw_pixels, "foreign-statistics"),
    case(
        "statistics-of-another", "buffers of another network", other_weights, "foreign-statistics", "stale-statistics"
    ),
    case(
        "windows-of-two",
        "windows of two recordings a batch",
        partial(windows, size=2),
        "small-batch-statistics",
        "sorted-batches",
        "train-eval-gap",
    ),
    case("momentum-of-keras-large", "momentum 0.99, batches of 256", partial(keras_momentum, size=256)),
    case("average-collected", "averaged weights, statistics collected anew", averaged),
    case("two-signals", "two signals of eight places a batch", two_signals),
    case("tuned-in-evaluation", "all weights tuned with statistics that stay", tuned_frozen),
)
