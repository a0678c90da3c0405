"""Regressions, and targets of other forms than one class."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks.doctor import data
from benchmarks.doctor.build import mlp
from benchmarks.doctor.healthy.make import ADAM, MOMENTUM, healthy

ONE = partial(mlp, 10, 64, 64, 1)


def _sine(x: Any) -> Any:
    return np.sin(3 * x)


CASES = (
    healthy(
        "linear-regression",
        "one linear map",
        partial(mlp, 10, 1),
        partial(data.regression, noise=0.3),
        0.4,
        **{**ADAM, "lr": 0.02},
    ),
    healthy("smooth-regression", "a smooth function", ONE, data.regression, 0.8, **ADAM),
    healthy(
        "noisy-regression",
        "noise that leaves an R² of about 0.3",
        ONE,
        partial(data.regression, noise=1.5),
        0.2,
        **{**ADAM, "lr": 0.001},
    ),
    healthy(
        "outputs-5-regression",
        "five outputs",
        partial(mlp, 10, 64, 64, 5),
        partial(data.regression, outputs=5),
        0.7,
        **ADAM,
    ),
    healthy("huber-regression", "Huber's loss", ONE, partial(data.regression, noise=0.3), 0.6, loss="huber", **ADAM),
    healthy(
        "heteroscedastic-regression",
        "noise that grows with the input",
        ONE,
        data.heteroscedastic,
        0.2,
        **{**ADAM, "lr": 0.001},
    ),
    healthy(
        "tanh-regression",
        "tanh, SGD with momentum",
        partial(ONE, activation="tanh"),
        data.regression,
        0.7,
        **{**MOMENTUM, "lr": 0.01},
    ),
    healthy(
        "sine-regression",
        "one input",
        partial(mlp, 1, 64, 64, 1, init="default"),
        partial(data.function, _sine, 2.0, noise=0.1),
        0.8,
        **{**ADAM, "lr": 0.005},
    ),
    healthy(
        "unit-regression",
        "targets with a deviation of 10 about 20",
        ONE,
        partial(data.regression, scale=10.0, shift=20.0),
        0.8,
        targets="standard",
        **ADAM,
    ),
    healthy(
        "one-logit", "two classes by one logit", partial(mlp, 8, 32, 32, 1), data.binary, 0.85, task="binary", **ADAM
    ),
    healthy(
        "imbalanced-binary",
        "one of ten is positive",
        partial(mlp, 8, 32, 32, 1),
        partial(data.binary, share=0.1),
        0.92,
        task="binary",
        **ADAM,
    ),
    healthy(
        "multilabel",
        "six labels",
        partial(mlp, 20, 64, 6),
        data.multilabel,
        0.8,
        task="multilabel",
        **{**ADAM, "lr": 0.005},
    ),
    healthy(
        "imbalanced-classes",
        "ten classes of very different size",
        partial(mlp, 64, 64, 10),
        data.imbalanced,
        0.9,
        **ADAM,
    ),
    healthy(
        "noisy-labels",
        "a third of the labels are wrong",
        partial(mlp, 64, 32, 10),
        data.noisy_labels,
        0.55,
        **{**ADAM, "lr": 0.001},
    ),
)
