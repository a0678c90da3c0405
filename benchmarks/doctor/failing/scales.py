"""Inputs and targets that are not scaled."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn

from benchmarks.doctor import data
from benchmarks.doctor.build import ACTIVATIONS, drawn, lenet, mlp
from benchmarks.doctor.failing.make import DIGITS, failing
from benchmarks.doctor.failing.networks import cnn, regressor

UNSCALED = {"unscaled-inputs"}
CIFAR = {"side": 16, "channels": 3}


def _three(last: str = "sigmoid") -> nn.Module:
    """D784 linear, D50 ReLU, D10 with ``last``."""
    layers = [nn.Flatten(), nn.Linear(784, 784), nn.Linear(784, 50), nn.ReLU(), nn.Linear(50, 10)]
    return drawn(nn.Sequential(*layers, ACTIVATIONS[last]()), "glorot")


def _fourth() -> nn.Module:
    """D50 sigmoid, D50 ELU, one output."""
    return drawn(nn.Sequential(nn.Linear(1, 50), nn.Sigmoid(), nn.Linear(50, 50), nn.ELU(), nn.Linear(50, 1)), "glorot")


def _power(x: Any) -> Any:
    return x**4


def _scaled_power(x: Any) -> Any:
    return 4 * x**4 - 1


CASES = (
    failing(
        "three-raw-pixels",
        "StackOverflow 55328966: MNIST of 0 to 255, D784 linear, D50 ReLU, D10 sigmoid, SGD 1e-4",
        _three,
        partial(data.mnist, 1.0),
        UNSCALED | {"output-does-not-fit-loss", "saturated-units"},
        DIGITS,
        sound_model=partial(_three, "linear"),
        sound_data=data.mnist,
        sound={"lr": 0.1},
        cure=("standard-inputs", "linear-output", "batch-normalization"),
        optimizer="sgd",
        lr=1e-4,
        batch_size=32,
        steps=400,
    ),
    failing(
        "twelve-three-scales",
        "StackOverflow 39525358: D12-D3-D1, Adam, features of very different scale",
        partial(mlp, 8, 12, 3, 1),
        partial(data.binary, scales=1e5),
        UNSCALED,
        0.85,
        sound_data=data.binary,
        sound={"lr": 0.01},
        cure=("standard-inputs",),
        task="binary",
        optimizer="adam",
        lr=0.001,
        batch_size=32,
        steps=500,
    ),
    failing(
        "regressor-scales",
        "StackOverflow 39525358, as a regression",
        regressor,
        partial(data.regression, scale=1000.0, shift=20000.0),
        {"unscaled-targets"},
        0.7,
        sound_data=data.regression,
        sound={"lr": 0.003},
        cure=("standard-targets",),
        optimizer="adam",
        lr=0.001,
        batch_size=32,
        steps=500,
    ),
    failing(
        "power-unscaled",
        "StackOverflow 52800582: y = x⁴ on ±100, D50 sigmoid, D50 ELU, Adam",
        _fourth,
        partial(data.function, _power, 100.0),
        {"unscaled-inputs", "unscaled-targets"},
        0.9,
        sound_data=partial(data.function, _scaled_power),
        sound={"lr": 0.01},
        cure=("standard-targets", "standard-inputs"),
        optimizer="adam",
        lr=0.001,
        batch_size=32,
        steps=500,
    ),
    failing(
        "cifar-raw-pixels",
        "StackOverflow 48594888: CIFAR-10 of 0 to 255, batch 500",
        partial(lenet, ((16, 3), (32, 3)), (64,), **CIFAR),
        partial(data.cifar, 1.0),
        UNSCALED | {"learning-rate-too-high", "dead-units"},
        0.28,
        sound_data=data.cifar,
        cure=("standard-inputs", "batch-normalization", "lr/10"),
        optimizer="momentum",
        lr=0.01,
        batch_size=500,
        steps=100,
    ),
    failing(
        "cnn-raw-pixels",
        "TheDeepChecker, missing_normalization",
        cnn,
        partial(data.mnist, 1.0),
        UNSCALED | {"learning-rate-too-high", "dead-units", "exploding-gradient"},
        DIGITS,
        sound_data=data.mnist,
        cure=("standard-inputs", "lr/100", "batch-normalization"),
        optimizer="sgd",
        lr=0.05,
        batch_size=32,
        steps=200,
    ),
    failing(
        "cnn-normalized-twice",
        "TheDeepChecker, double_normalization",
        cnn,
        partial(data.mnist, 1 / 255**2),
        UNSCALED | {"learning-rate-too-low"},
        DIGITS,
        sound_data=data.mnist,
        cure=("standard-inputs", "lr*100", "batch-normalization"),
        optimizer="sgd",
        lr=0.05,
        batch_size=32,
        steps=200,
    ),
    failing(
        "regressor-raw-features",
        "TheDeepChecker, missing_normalization: a table",
        partial(mlp, 20, 64, 64, 4),
        partial(data.classes, scales=1e4, shift=500.0),
        UNSCALED,
        0.75,
        sound_data=data.classes,
        cure=("standard-inputs", "batch-normalization"),
        optimizer="adam",
        lr=0.003,
        batch_size=32,
        steps=400,
    ),
    failing(
        "iris-sigmoid",
        "StackOverflow 59278771: raw irises, 4-3 sigmoid",
        partial(mlp, 4, 4, 3, activation="sigmoid", last="sigmoid"),
        data.iris,
        {"unscaled-inputs", "output-does-not-fit-loss", "saturated-units", "learning-rate-too-low"},
        0.9,
        sound_model=partial(mlp, 4, 16, 3),
        sound={"lr": 0.01},
        cure=("linear-output", "relu-he", "lr*10"),
        optimizer="adam",
        lr=0.001,
        batch_size=16,
        steps=300,
    ),
)
