"""Training mode where evaluation mode is meant, and the other way round; frozen networks."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from benchmarks.doctor.build import mlp
from benchmarks.doctor.case import Case, Ran
from benchmarks.doctor.loop import shuffled
from benchmarks.doctor.misuse.make import (
    Parts,
    case,
    examined,
    fit,
    in_order,
    norms,
    perceptron,
    seen,
    sound,
    vectors,
)


def inverted(parts: Parts) -> Parts:
    """White on black turned into black on white."""
    return tuple((1 - X, y) for X, y in parts)


def backbone(seed: int, steps: int | None) -> tuple[nn.Sequential, Parts]:
    """A trained network with a new head; all but the head frozen."""
    network, parts = sound(seed, steps, hidden=3)
    network.requires_grad_(False)
    network[-1] = nn.Linear(64, 10)
    return network, parts


def frozen_small_batches(seed: int, steps: int | None) -> Ran:
    """Its normalizations in training mode, with batches of two."""
    network, parts = backbone(seed, steps)
    network.train()
    watch = fit(network, shuffled(parts[0], 2, steps or 300, seed), watch=True, lr=0.001)
    return seen(watch, network, parts[0])


def frozen_foreign(seed: int, steps: int | None) -> Ran:
    """A new head is trained on other data in training mode; then the old head is used again on the old data."""
    network, parts = sound(seed, steps, hidden=3)
    old = network[-1]
    network.requires_grad_(False)
    network[-1] = nn.Linear(64, 10)
    fit(network, shuffled(inverted(parts)[0], 32, steps or 100, seed))
    network[-1] = old
    return examined(network, parts[1])


def frozen_in_evaluation(seed: int, steps: int | None) -> Ran:
    """The backbone in evaluation mode, as it should be."""
    network, parts = backbone(seed, steps)
    network.eval()
    network[-1].train()
    return seen(fit(network, shuffled(parts[0], 32, steps or 300, seed), watch=True), network, parts[0])


def frozen_same_data(seed: int, steps: int | None) -> Ran:
    """The backbone in training mode, on the data that it was trained with, in large batches."""
    network, parts = backbone(seed, steps)
    network.train()
    return seen(fit(network, shuffled(parts[0], 64, steps or 300, seed), watch=True), network, parts[0])


def evaluating_from_start(seed: int, steps: int | None, *, hidden: int, activation: str = "sigmoid") -> Ran:
    """``eval()`` for a look at the network before training, and no ``train()`` after it."""
    torch.manual_seed(seed)
    network, parts = mlp(*[64] * (hidden + 1), 10, activation=activation, norm="batch"), vectors()
    network.eval()
    return seen(fit(network, shuffled(parts[0], 32, steps or 300, seed), watch=True), network, parts[0])


def evaluating_after_epoch(seed: int, steps: int | None) -> Ran:
    """``eval()`` for a validation after a few steps, and no ``train()`` after it; a rate that needs normalization."""
    torch.manual_seed(seed)
    network, parts = mlp(*[64] * 13, 10, norm="batch", init="he"), vectors()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5, momentum=0.9)
    fit(network, shuffled(parts[0], 32, 5, seed), optimizer=optimizer)
    network.eval()
    watch = fit(network, shuffled(parts[0], 32, steps or 300, seed), optimizer=optimizer, watch=True)
    return seen(watch, network, parts[0])


def validated(seed: int, steps: int | None) -> Ran:
    """``eval()`` for validation and ``train()`` after it, after each tenth step."""
    torch.manual_seed(seed)
    network, parts = perceptron(hidden=4), vectors()

    def batches():
        for index, batch in enumerate(shuffled(parts[0], 32, steps or 300, seed)):
            if index % 10 == 0:
                network.eval()
                with torch.no_grad():
                    for x, _ in in_order(parts[1], 100):
                        network(x)
                network.train()
            yield batch

    return seen(fit(network, batches(), watch=True), network, parts[0])


def used_in_training_mode(seed: int, steps: int | None, *, size: int, sort: bool = False) -> Ran:
    """Trained well, and used without ``eval()``."""
    network, parts = sound(seed, steps, hidden=3)
    return examined(network, parts[1], size, training=True, sort=sort)


def used_in_evaluation_mode(seed: int, steps: int | None) -> Ran:
    """Trained well, and used with ``eval()``, two at a time."""
    network, parts = sound(seed, steps, hidden=3)
    return examined(network, parts[1], 2)


def gamma_zero(seed: int, steps: int | None) -> Ran:
    """γ = 0 everywhere in a chain of layers, as from an initialization of all parameters with 0."""
    torch.manual_seed(seed)
    network, parts = perceptron(hidden=3), vectors()
    for norm in norms(network):
        nn.init.zeros_(norm.weight)
    return seen(fit(network, shuffled(parts[0], 32, steps or 200, seed), watch=True, lr=0.001), network, parts[0])


def gamma_lost(seed: int, steps: int | None) -> Ran:
    """A trained network, γ of one layer set to 0."""
    network, parts = sound(seed, steps, hidden=3)
    nn.init.zeros_(norms(network)[1].weight)
    return examined(network, parts[1])


def gamma_zero_in_branch(seed: int, steps: int | None) -> Ran:
    """γ = 0 at the end of residual branches, as many begin."""
    torch.manual_seed(seed)
    network, parts = Branches(), vectors()
    return seen(fit(network, shuffled(parts[0], 32, steps or 300, seed), watch=True), network, parts[0])


def gamma_pruned(seed: int, steps: int | None) -> Ran:
    """A trained network, the tenth of channels with the smallest γ set to 0, as pruning does."""
    network, parts = sound(seed, steps, hidden=2)
    with torch.no_grad():
        for norm in norms(network):
            norm.weight[norm.weight.abs().argsort()[:6]] = 0
    return examined(network, parts[1])


class Branches(nn.Module):
    """x + BN(linear(relu(BN(linear(x))))) twice, with γ = 0 in the last normalization of each branch."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Linear(width, width),
                nn.BatchNorm1d(width),
                nn.ReLU(),
                nn.Linear(width, width),
                nn.BatchNorm1d(width),
            )
            for _ in range(2)
        )
        self.head = nn.Linear(width, 10)
        for branch in self.branches:
            nn.init.zeros_(branch[-1].weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for branch in self.branches:
            x = torch.relu(x + branch(x))
        return self.head(x)


FROZEN = "frozen-normalization"
LEFT = ("left-in-training-mode", "small-batch-statistics")

CASES: tuple[Case, ...] = (
    case(
        "frozen-small-batches",
        "frozen, normalizations in training mode, batches of two",
        frozen_small_batches,
        FROZEN,
        "small-batch-statistics",
    ),
    case(
        "frozen-foreign", "frozen, statistics overwritten by other data", frozen_foreign, "foreign-statistics", FROZEN
    ),
    case("frozen-in-evaluation", "frozen and in evaluation mode", frozen_in_evaluation),
    case("frozen-same-data", "frozen, in training mode on the same data", frozen_same_data),
    case(
        "evaluating-from-start",
        "eval() before training",
        partial(evaluating_from_start, hidden=10),
        FROZEN,
        "stale-statistics",
    ),
    case("evaluating-after-epoch", "eval() after an epoch", evaluating_after_epoch, FROZEN),
    case(
        "evaluating-harmless",
        "eval() before training, and two layers learn all the same",
        partial(evaluating_from_start, hidden=1, activation="relu"),
    ),
    case("validated", "eval() and train() in turns", validated),
    case(
        "used-in-training-mode", "no eval() at inference, two at a time", partial(used_in_training_mode, size=2), *LEFT
    ),
    case(
        "used-in-training-mode-sorted",
        "no eval() at inference, sorted by class",
        partial(used_in_training_mode, size=16, sort=True),
        "left-in-training-mode",
        "sorted-batches",
    ),
    case(
        "used-in-training-mode-large", "no eval() at inference, 128 at a time", partial(used_in_training_mode, size=128)
    ),
    case("used-in-evaluation-mode", "eval() at inference, two at a time", used_in_evaluation_mode),
    case("gamma-zero", "γ = 0 in a chain", gamma_zero, "zero-gamma"),
    case("gamma-lost", "γ = 0 in one layer of a trained network", gamma_lost, "zero-gamma"),
    case("gamma-zero-in-branch", "γ = 0 at the end of residual branches", gamma_zero_in_branch),
    case("gamma-pruned", "a tenth of the channels pruned", gamma_pruned),
)
