"""Rules on running statistics: networks that are misused, and their near misses."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import normwise as nw
from doctor.misused import CLASSES, FEATURES, Residual, by_class, cnn, data, images, loader, mlp, train, trained
from normwise.doctor.examine import examine

CE = nn.CrossEntropyLoss()


def validation(size: int = 32, **changes):
    return loader(data(min(512, 100 * size), seed=1, **changes), size)


def norms(network):
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm1d)]


def tiny_batches(size, lr):
    return train(mlp(), data(), size=size, lr=lr, steps=50).eval(), validation(size)


def momentum(value, **options):
    return train(mlp(momentum=value), data(), **options).eval(), validation(options.get("size", 32))


def without_buffers():
    network = trained()
    for norm in norms(network):
        norm.reset_running_stats()
    return network.eval(), validation()


def never_updated():
    network = mlp()
    with nw.suspend_statistics(network):
        train(network, data())
    return network.eval(), validation()


def dummy_forward(make):
    network = trained()
    for _ in range(20):
        network(make())
    return network.eval(), validation()


def poisoned(value):
    network = trained().eval()
    norms(network)[1].running_var[3] = value
    return network, validation()


def zero_gamma():
    network = trained().eval()
    nn.init.zeros_(norms(network)[0].weight)
    return network, validation()


def other_domain(shift, scale):
    return trained().eval(), validation(shift=shift, scale=scale)


def left_in_training(size=2, ordered=False):
    network = trained()
    return network, loader(by_class(data(seed=1)), shuffle=False) if ordered else validation(size)


def untracked(size, ordered=False):
    network = train(mlp(track_running_stats=False), data()).eval()
    return network, loader(by_class(data(seed=1)), shuffle=False) if ordered else validation(size)


def other_order_of_classes():
    return trained().eval(), [(x, (y + 1) % CLASSES) for x, y in validation()]


MISUSED = {
    "batch of 2": (lambda: tiny_batches(2, 0.1), "small-batch-statistics"),
    "batch of 4": (lambda: tiny_batches(4, 0.3), "small-batch-statistics"),
    "momentum 0.001": (lambda: momentum(0.001), "stale-statistics"),
    "three steps": (lambda: momentum(0.1, steps=3, lr=0.1), "stale-statistics"),
    "never updated": (never_updated, "stale-statistics"),
    "without buffers": (without_buffers, "stale-statistics"),
    "Keras' momentum": (lambda: momentum(0.99, size=8), "momentum-convention"),
    "dummy forward of noise": (lambda: dummy_forward(lambda: torch.randn(8, FEATURES)), "foreign-statistics"),
    "dummy forward of ones": (lambda: dummy_forward(lambda: 10 * torch.ones(2, FEATURES)), "foreign-statistics"),
    "another domain": (lambda: other_domain(4.0, 2.0), "foreign-statistics"),
    "another unit": (lambda: other_domain(0.0, 5.0), "foreign-statistics"),
    "NaN": (lambda: poisoned(math.nan), "poisoned-statistics"),
    "a negative variance": (lambda: poisoned(-1.0), "poisoned-statistics"),
    "zero γ": (zero_gamma, "zero-gamma"),
    "eval() forgotten": (left_in_training, "left-in-training-mode"),
    "eval() forgotten, by class": (lambda: left_in_training(ordered=True), "left-in-training-mode"),
    "another order of classes": (other_order_of_classes, "no-better-than-guessing"),
    "no statistics": (lambda: untracked(2), "untracked-statistics"),
    "no statistics, by class": (lambda: untracked(32, ordered=True), "untracked-statistics"),
}


@pytest.mark.parametrize("case", MISUSED)
def test_misuse_is_found_with_its_cause_first(case):
    make, name = MISUSED[case]
    torch.manual_seed(1)
    network, batches = make()
    diagnosis = examine(network, batches, CE)
    assert diagnosis.cause is not None, diagnosis.verdict
    assert diagnosis.cause.name == name, [str(finding) for finding in diagnosis]


HEALTHY = {
    "evaluated": lambda: (trained().eval(), validation()),
    "handed over in training mode": lambda: (trained(), validation()),
    "batches of 8, 14 × 14": lambda: (train(cnn(), images(), size=8), loader(images(seed=1), 8)),
    "momentum 0.01, 1000 steps": lambda: momentum(0.01, steps=1000),
    "batches of 2 in evaluation mode": lambda: (trained().eval(), validation(2)),
    "validation by class": lambda: (trained().eval(), loader(by_class(data(seed=1)), shuffle=False)),
    "a residual branch that begins at 0": lambda: (zero_residual(), validation()),
    "no statistics in batches of 128": lambda: untracked(128),
    "frozen": lambda: (nw.freeze(trained()).model, validation()),
    "a domain that is a little off": lambda: other_domain(0.1, 1.05),
    "one forward of noise": lambda: (once(trained()), validation()),
}


def once(network):
    network(torch.randn(32, FEATURES) + 3)
    return network.eval()


def zero_residual():
    network = train(Residual(), data()).eval()
    nn.init.zeros_(network.norm.weight)
    return network


@pytest.mark.parametrize("case", HEALTHY)
def test_near_misses_are_left_alone(case):
    torch.manual_seed(1)
    network, batches = HEALTHY[case]()
    diagnosis = examine(network, batches, CE)
    assert diagnosis.healthy, [str(finding) for finding in diagnosis]
    assert diagnosis.learned
