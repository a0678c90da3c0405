"""Choosing the best of several trained networks on a set of examples, many times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from normwise.lab.reproduction.context import Context
from normwise.lab.studies.networks.side_by_side import descent, fit, he, right

CANDIDATES = (1, 2, 5, 10, 20, 50)
SIZES = (100, 300, 1000)


def measured(context: Context, *, trained: int, epochs: int, draws: int) -> Mapping[str, Any]:
    """Train 50 candidates once, then choose among some of them many times, on sets drawn from all test examples.

    Returns:
        By size of the set, a list over the numbers of candidates of [mean, standard error] over the draws of: the
        chosen one's score on the set it was chosen on less its true accuracy (``test``), its score on another set of
        the same size less its true accuracy (``validation``), its true accuracy (``true``), and that of what the other
        set would have chosen (``other``). ``accuracies`` are the true accuracies of all candidates.
    """
    rng = context.rng
    count = max(CANDIDATES)
    (x, y), tests = context.tensors("train", flat=True), context.tensors("test", flat=True)
    rates, decays = 10 ** rng.uniform(-1.5, -0.3, count), 10 ** rng.uniform(-5, -1.5, count)
    networks = he(count, [x.shape[1], 30, 10], context.device)
    step = descent(*(torch.tensor(each, dtype=torch.float32, device=context.device) for each in (rates, decays)))
    fit(networks, (x[:trained], y[:trained]), step, epochs=epochs, batch=50, progress=context.progress)
    hits = right(networks, *tests).cpu().numpy()
    found = {str(size): [simulated(rng, hits, one, size, draws) for one in CANDIDATES] for size in SIZES}
    return {"accuracies": hits.mean(1).tolist(), "found": found}


def simulated(rng: np.random.Generator, hits: np.ndarray, candidates: int, size: int, draws: int) -> dict[str, Any]:
    """Means and standard errors over the draws; ``hits`` (C, N) says which candidate is right on which example."""
    true = hits.mean(1)
    found: dict[str, list[float]] = {"test": [], "validation": [], "true": [], "other": []}
    for _ in range(draws):
        some = rng.choice(len(hits), candidates, replace=False)
        first, second = rng.integers(hits.shape[1], size=(2, size))
        scores, others = (hits[np.ix_(some, each)].mean(1) for each in (first, second))
        best = scores.argmax()
        found["test"].append(scores[best] - true[some[best]])
        found["validation"].append(others[best] - true[some[best]])
        found["true"].append(true[some[best]])
        found["other"].append(true[some[others.argmax()]])
    return {key: [float(np.mean(each)), float(np.std(each) / draws**0.5)] for key, each in found.items()}
