"""The small Inception of two studies: how it is trained, and how fast it learns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.context import Context
from normwise.lab.reproduction.curves import Curve, curve
from normwise.lab.reproduction.study import Training
from normwise.lab.studies.networks.inception import ADDED_UP, FIGURE_5, figure_5
from normwise.records import RunRecord

RATE, DECAY = 0.01, 0.7
"""Ours: the learning rate of Inception (0.0015 in the paper), and the share of it that is left at the end."""

PENALTY = 5e-4
"""Ours: the paper does not give the weight of its L2 penalty."""

NETWORKS = "normwise.lab.studies.networks.inception"
DATA = "normwise.lab.studies.datasets.small_cifar10"

CHANGES: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "higher learning rate": ("inception", "together", {"lr": 5 * RATE}),
    "no dropout": ("without_dropout", "together", {}),
    "L2 penalty ÷ 5": ("inception", "together", {"weight_decay": PENALTY / 5}),
    "decay 6 times faster": ("inception", "together", {"schedule": 6}),
    "no local normalization": ("without_local_normalization", "together", {}),
    "thorough shuffling": ("inception", "shuffled", {}),
    "less distortion": ("less_distorted", "together", {}),
}
"""The seven changes of section 4.2.1, each alone: network, data, and keys."""


def training(asked: Asked, arms: Mapping[str, Any], network: str, data: str, seeds: int, faster: int = 1) -> Training:
    """Arms of one network on one kind of data; the learning rate falls so many times faster."""
    steps = asked.scale.pick(smoke=1, quick=240, full=8000)
    options: dict[str, Any] = {
        "model": f"{NETWORKS}:{network}", "steps": steps, "eval_every": -(-steps // 12), "optimizer": "momentum",
        "init": "he", "lr": RATE, "weight_decay": PENALTY, "schedule": f"exponential:{DECAY ** (faster / steps)!r}",
    }  # fmt: skip
    options |= {"batch_size": 32} if data == "shuffled" else {}
    wide = asked.scale.pick(smoke="noise_", quick="", full="everything_")
    return Training(arms, f"{DATA}:{wide}{data}", seeds, options, whole=("validation",))


def size(context: Context) -> Mapping[str, Any]:
    """The weights of the network of figure 5, as its rows are printed and as they add up."""
    import torch

    with torch.device("meta"):
        counts = [sum(each.numel() for each in figure_5(rows).parameters()) for rows in (FIGURE_5, ADDED_UP)]
    return dict(zip(("printed", "added_up"), counts, strict=True))


def means(runs: Sequence[RunRecord]) -> Curve:
    """The mean validation accuracy of runs over the steps; as long as the shortest run."""
    every = [curve(run) for run in runs]
    steps = min((each.steps for each in every), key=len, default=[])
    return Curve(steps, [fmean(at) for at in zip(*(each.values[: len(steps)] for each in every), strict=True)])


def best(runs: Sequence[RunRecord]) -> float:
    """The greatest mean validation accuracy."""
    return max((value for value in means(runs).values if math.isfinite(value)), default=math.nan)


def steps_to_target(runs: Sequence[RunRecord], plain: Sequence[RunRecord]) -> float:
    """The first measured step at which runs are as good as plain Inception ever is; infinite where there is none."""
    target = best(plain)
    return next((float(step) for step, value in zip(*means(runs), strict=True) if value >= target), math.inf)


def times_fewer(runs: Sequence[RunRecord], plain: Sequence[RunRecord]) -> float:
    """How many times fewer steps than plain Inception they take; nan where that learned nothing that is finite."""
    return steps_to_target(plain, plain) / max(steps_to_target(runs, plain), 1)
