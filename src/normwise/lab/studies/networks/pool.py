"""Networks for every pair of learning rate and weight decay, trained once, and searches among them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from normwise.lab.reproduction.context import Context
from normwise.lab.studies.networks.side_by_side import descent, fit, he, right

POOL = (-6.0, 3.0)
"""Powers of ten of the learning rates that are trained once; searches draw from them."""

DECAY = (-8.0, -4.0)
"""Powers of ten of the weight decay, as in the code of the book."""

ROUNDS, SAMPLED, KEPT, FINAL = 3, 20, 5, 4
"""Narrowing (ours): of 20 short evaluations the 5 best span the next range, three times; then 4 trials: in all the cost
of (3·20·10 + 4·50)/50 = 16 trials."""


class Pool(NamedTuple):
    """What trained networks score, by learning rate (rows) and weight decay (columns), both evenly spaced in logs."""

    short: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    def places(self, rates: np.ndarray, decays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The nearest trained ones of powers of ten."""
        return tuple(
            np.clip(((value - low) / (high - low) * count).astype(int), 0, count - 1)
            for value, (low, high), count in zip((rates, decays), (POOL, DECAY), self.test.shape, strict=True)
        )

    def chosen(self, rates: np.ndarray, decays: np.ndarray) -> np.ndarray:
        """The test accuracy of the best trial by validation, of each search (searches, trials)."""
        at = self.places(rates, decays)
        best = self.validation[at].argmax(1)
        return np.asarray(self.test[at][np.arange(len(best)), best])


def trained(
    context: Context, widths: list[int], per_decade: int, columns: int, examples: int, epochs: list[int]
) -> Pool:
    """A network for each pair of learning rate and weight decay, each with initial weights of its own."""
    (x, y), (x_test, y_test) = context.tensors("train", flat=True), context.tensors("test", flat=True)
    cut, end = 4 * examples // 5, examples
    rows = round((POOL[1] - POOL[0]) * per_decade)
    rates, decays = (
        low + (high - low) * (np.arange(count) + 0.5) / count for (low, high), count in ((POOL, rows), (DECAY, columns))
    )
    grid = np.stack(np.meshgrid(10**rates, 10**decays, indexing="ij")).reshape(2, -1)
    networks = he(grid.shape[1], [x.shape[1], *widths, 10], context.device)
    step = descent(*torch.tensor(grid, dtype=torch.float32, device=context.device))
    scores = []
    for more in (epochs[0], epochs[1] - epochs[0]):
        fit(networks, (x[:cut], y[:cut]), step, epochs=more, batch=100, progress=context.progress)
        scores.append(right(networks, x[cut:end], y[cut:end]).float().mean(1))
    tests = torch.zeros(grid.shape[1])
    for part in torch.split(torch.arange(min(2000, len(x_test))), 500):
        tests += right(networks, x_test[part], y_test[part]).float().sum(1).cpu() / min(2000, len(x_test))
    return Pool(*(each.cpu().numpy().reshape(rows, columns) for each in (*scores, tests)))


def at_random(rng: np.random.Generator, low: float, high: float, shape: tuple[int, ...]) -> np.ndarray:
    """Powers of ten, uniform: a logarithmic scale."""
    return rng.uniform(low, high, shape)


def linearly(rng: np.random.Generator, low: float, high: float, shape: tuple[int, ...]) -> np.ndarray:
    """Powers of ten of values that are uniform themselves: a linear scale."""
    return np.log10(rng.uniform(10**low, 10**high, shape))


def on_a_grid(rng: np.random.Generator, pool: Pool, low: float, high: float, side: int, searches: int) -> np.ndarray:
    """Test accuracies of grids with a random origin, so that no grid is lucky in all searches."""
    offsets = rng.uniform(size=(2, searches, 1, 1))
    steps = np.arange(side)
    rates = low + (high - low) * (steps[:, None] + offsets[0]) / side
    decays = DECAY[0] + (DECAY[1] - DECAY[0]) * (steps[None, :] + offsets[1]) / side
    both = np.broadcast_arrays(rates, decays)
    return pool.chosen(*(each.reshape(searches, -1) for each in both))


def narrowed(rng: np.random.Generator, pool: Pool, low: float, high: float, searches: int) -> np.ndarray:
    """Test accuracies of searches in ranges that narrow, as the note describes."""
    ranges = [[np.full((searches, 1), end) for end in ends] for ends in ((low, high), DECAY)]
    for _ in range(ROUNDS):
        drawn_ = [rng.uniform(a, b, (searches, SAMPLED)) for a, b in ranges]
        best = np.argsort(-pool.short[pool.places(*drawn_)], axis=1, kind="stable")[:, :KEPT]
        kept = [np.take_along_axis(each, best, 1) for each in drawn_]
        ranges = [[each.min(1, keepdims=True), each.max(1, keepdims=True)] for each in kept]
    return pool.chosen(*(rng.uniform(a, b, (searches, FINAL)) for a, b in ranges))
