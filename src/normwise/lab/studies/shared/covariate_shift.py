"""How far the inputs of layers and their gradients move while a network trains."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from math import nan
from statistics import fmean
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from normwise.lab.reproduction.context import Context
from normwise.lab.studies.networks.shifting import Network, distances, gradient_shift

NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "sigmoid × 3": {"widths": [100] * 3, "activation": "sigmoid", "std": 0.1, "rate": 0.5},
    "ReLU × 10": {"widths": [100] * 10, "activation": "relu", "std": None, "rate": 0.1},
}
"""The network of the paper's section 4.1, with a rate and weights with which it learns without BN too, and a deep one
with He's weights; the rates are ours, the same with and without BN."""


ARMS = {"plain": (False, False), "BN": (True, False), "noisy plain": (False, True), "noisy BN": (True, True)}


EVERY, FIXED, BATCH = 20, 500, 100


def trained(context: Context, network: str, arm: str, steps: int) -> Mapping[str, Any]:
    """Train a network; measure shifts every 20 steps, in both forms, and accuracy on test data."""
    x, y = context.tensors("train", flat=True)
    test = [each[:2000] for each in context.tensors("test", flat=True)]
    given = dict(NETWORKS[network])
    rate = given.pop("rate")
    norm, noisy = ARMS[arm]
    net = Network(x.shape[1], int(y.max()) + 1, **given, norm=norm, noisy=noisy).to(context.device)
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    names = ("steps", "accuracy", "distances", "jumps", "differences", "cosines")
    found: dict[str, list[Any]] = {name: [] for name in names}
    seen = _inputs(net, x[:FIXED])
    for step in range(1, steps + 1):
        chosen = torch.randint(len(x), (BATCH,)).to(context.device)
        before = copy.deepcopy(net) if step % EVERY == 0 else None
        optimizer.zero_grad()
        F.cross_entropy(net(x[chosen]), y[chosen]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if before is not None:
            last, seen = seen, _inputs(net, x[:FIXED])
            jumps = distances(_inputs(before, x[:FIXED]), seen)
            differences, cosines = gradient_shift(before, net, x[chosen], y[chosen])
            row = [step, _accuracy(net, *test), distances(last, seen), jumps, differences, cosines]
            for name, value in zip(found, row, strict=True):
                found[name].append(value)
        context.progress(step / steps)
    return found


@torch.no_grad()
def _inputs(net: Network, x: Tensor) -> list[Tensor]:
    """What the activations receive in training, which changes no running statistics."""
    return copy.deepcopy(net).inputs(x)[:-1]


@torch.no_grad()
def _accuracy(net: Network, x: Tensor, y: Tensor) -> float:
    net.eval()
    share = float((net(x).argmax(1) == y).float().mean())
    net.train()
    return share


def mean_of(run: Mapping[str, Any], what: str) -> float:
    """The mean over steps and layers of what was measured."""
    return fmean(number(value) for row in run[what] for value in row)


def number(value: float | None) -> float:
    """What JSON has as null, of a network that diverged, is not a number."""
    return nan if value is None else value
