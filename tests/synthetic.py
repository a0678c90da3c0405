"""Records of runs that were never made: plausible curves from formulas and a seeded generator."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from normwise.records import RunRecord
from normwise.records.metric import ACCURACY, Metric

BINS = 30


def record(
    arm: str = "plain",
    seed: int = 0,
    *,
    lr: float = 0.2,
    pace: float = 1.0,
    best: float = 0.96,
    layers: int = 3,
    steps: int = 5000,
    every: int = 100,
    diverged: int | None = None,
    norm: str = "none",
    metric: Metric = ACCURACY,
) -> RunRecord:
    """One run that learns ``pace`` times as fast as plain; with ``diverged`` it ends at that step.

    With another metric than accuracy it is a regression: R² rises from −400, an error falls from 80 to 40.
    """
    noise = random.Random(f"{arm} {seed} {lr}")
    last = steps if diverged is None else diverged - 1
    lines = [_line(step, lr, pace, best, layers, noise, norm, metric) for step in range(0, last + 1, every)]
    status = "finished" if diverged is None else "diverged"
    reason = None if diverged is None else "loss is not finite"
    settings = {"arm": arm, "seed": seed, "lr": lr, "norm": norm, "activation": "sigmoid", "steps": steps}
    kind = ("classification", "cross_entropy") if metric.percent else ("regression", "mse")
    settings |= {"batch_size": 60, "metric": metric._asdict(), "task": kind[0], "loss": kind[1]}
    done = {"status": status, "step": steps if diverged is None else diverged, "reason": reason}
    timing = [
        {"step": line["step"], "seconds": 0.0006 * line["step"], "train": 0.0006 * min(line["step"], every)}
        for line in lines
    ]
    return RunRecord(Path("runs") / f"{arm}-{seed}", settings, lines, timing, done)


def study(
    arms: Sequence[str] = ("plain", "bn"), seeds: int = 3, lrs: Sequence[float] = (0.2,), **options: Any
) -> list[RunRecord]:
    """Every arm with every seed and learning rate; arms after the first learn faster and are normalized."""
    return [
        record(arm, seed, lr=lr, **({"pace": 1.0, "best": 0.955} if place == 0 else _quick(place)) | options)
        for place, arm in enumerate(arms)
        for lr in lrs
        for seed in range(seeds)
    ]


def _quick(place: int) -> dict[str, Any]:
    return {"pace": 10.0 / place, "best": 0.975 - 0.004 * place, "norm": "batch"}


def _line(
    step: int, lr: float, pace: float, best: float, layers: int, noise: random.Random, norm: str,
    metric: Metric,
) -> dict[str, Any]:  # fmt: skip
    learned = 1 / (1 + math.exp(6 - 6 * math.sqrt(step * pace * lr / 0.2 / 900))) if step else 0.0
    here = {"step": step, "lr": lr, "batch_loss": None if step == 0 else 2.2 * (1 - learned) + 0.02}
    for part, ceiling in (("train", min(best + 0.03, 0.999)), ("validation", best), ("test", best - 0.005)):
        accuracy = 0.1 + (ceiling - 0.1) * learned + noise.gauss(0, 0.006)
        here[part] = {
            "loss": (2.3 * (1 - learned) + (1 - ceiling) * 2) * math.exp(noise.gauss(0, 0.05)),
            metric.name: _scored(metric, min(max(accuracy, 0.0), 1.0)),
        }
    names = [f"activation{depth + 1}" for depth in range(layers)]
    here["preactivations"] = [_preactivation(name, learned, norm, noise) for name in names]
    here["activations"] = [_activation(name, learned, norm) for name in names]
    here["gradients"] = [
        {"layer": f"linear{depth + 1}", "norm": _norm(depth, layers, norm, learned) * math.exp(noise.gauss(0, 0.15))}
        for depth in range(layers + 1)
    ]
    here["updates"] = [{**item, "norm": lr * item["norm"]} for item in here["gradients"]] if step else []
    return here


def _scored(metric: Metric, accuracy: float) -> float:
    if metric.percent:
        return accuracy
    if metric.higher_is_better:
        return 0.7 * accuracy - 400 * max(0.0, 0.3 - accuracy) ** 2
    return 84 - 45 * accuracy


def _norm(depth: int, layers: int, norm: str, learned: float) -> float:
    shrink = 1.0 if norm == "batch" else 4.0 ** (depth - layers)
    return 0.3 * shrink * (1 - 0.85 * learned) + 1e-4


def _preactivation(name: str, learned: float, norm: str, noise: random.Random) -> dict[str, Any]:
    spread, middle = (1.0 + 0.3 * learned, 0.1 * learned) if norm == "batch" else (0.3 + 2.5 * learned, -1.2 * learned)
    middle += noise.gauss(0, 0.06)
    edges = {"p15": middle - spread, "p50": middle, "p85": middle + spread}
    return {"layer": name, "mean": middle, "std": spread, **edges, "saturated": 0.3 * learned}


def _activation(name: str, learned: float, norm: str) -> dict[str, Any]:
    width = 0.12 if norm == "batch" else 0.03 + 0.2 * learned
    middles = [(place + 0.5) / BINS for place in range(BINS)]
    counts = [round(2000 * math.exp(-0.5 * ((middle - 0.5) / width) ** 2)) for middle in middles]
    if norm != "batch":
        counts[0] += round(1500 * learned)
        counts[-1] += round(800 * learned)
    return {"layer": name, "low": 0.0, "high": 1.0, "counts": counts}
