"""Learning rates and batch sizes, after TheDeepChecker, AUTOTRAINER and StackOverflow."""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmarks.doctor import data
from benchmarks.doctor.build import mlp
from benchmarks.doctor.failing.make import DIGITS, PHOTOGRAPHS, failing
from benchmarks.doctor.failing.networks import cnn, regressor, six

HIGH, LOW = {"learning-rate-too-high"}, {"learning-rate-too-low"}
CNN: dict[str, Any] = {"optimizer": "sgd", "batch_size": 32, "steps": 200}
REGRESSOR: dict[str, Any] = {"optimizer": "adam", "batch_size": 32, "steps": 600}
SIX: dict[str, Any] = {"optimizer": "momentum", "batch_size": 32, "steps": 250}


def _line(x: Any) -> Any:
    return 3 * x + 2


CASES = (
    failing(
        "cnn-high-lr",
        "TheDeepChecker, high_lr: SGD .5",
        cnn,
        data.mnist,
        HIGH | {"dead-units", "exploding-gradient"},
        DIGITS,
        sound={"lr": 0.05},
        cure=("lr/10", "batch-normalization"),
        lr=0.5,
        **CNN,
    ),
    failing(
        "regressor-high-lr",
        "TheDeepChecker, high_lr: Adam .1, threefold",
        regressor,
        data.regression,
        HIGH | {"dead-units"},
        0.9,
        sound={"lr": 0.003},
        cure=("lr/10", "lr/100"),
        judged_at="end",
        lr=0.3,
        **REGRESSOR,
    ),
    failing(
        "six-high-lr",
        "TheDeepChecker, high_lr: momentum .1, tenfold",
        partial(six, norm=False),
        data.cifar,
        HIGH | {"exploding-gradient", "non-finite", "dead-units"},
        PHOTOGRAPHS,
        sound_model=six,
        sound={"lr": 0.02},
        cure=("lr/10", "lr/100", "batch-normalization"),
        lr=0.5,
        **SIX,
    ),
    failing(
        "cnn-low-lr",
        "TheDeepChecker, low_lr: SGD .001",
        cnn,
        data.mnist,
        LOW,
        DIGITS,
        sound={"lr": 0.05},
        cure=("lr*10", "lr*100", "adam"),
        lr=0.001,
        **CNN,
    ),
    failing(
        "regressor-low-lr",
        "TheDeepChecker, low_lr: Adam 1e-5",
        regressor,
        data.regression,
        LOW,
        0.7,
        sound={"lr": 0.003},
        cure=("lr*100", "lr*1000"),
        lr=1e-5,
        **REGRESSOR,
    ),
    failing(
        "six-low-lr",
        "TheDeepChecker, low_lr: momentum 1e-5",
        six,
        data.cifar,
        LOW,
        PHOTOGRAPHS,
        sound={"lr": 0.02},
        cure=("lr*1000", "lr*100", "adam"),
        lr=1e-5,
        **SIX,
    ),
    failing(
        "blobs-batch-of-one",
        "AUTOTRAINER, oscillating loss: D50 ReLU, SGD .01 momentum .9, batch 1",
        partial(mlp, 2, 50, 50, 3),
        data.blobs,
        {"oscillating-loss", "learning-rate-too-high"},
        0.75,
        sound={"batch_size": 32},
        cure=("batch-size*4", "lr/10", "adam"),
        judged_at="end",
        optimizer="momentum",
        lr=0.01,
        batch_size=1,
        steps=600,
    ),
    failing(
        "blobs-batch-of-one-high-lr",
        "AUTOTRAINER, oscillating loss: the same with SGD .05",
        partial(mlp, 2, 50, 3),
        data.blobs,
        {"oscillating-loss", "learning-rate-too-high", "dead-units"},
        0.75,
        sound={"batch_size": 32, "lr": 0.01},
        cure=("batch-size*4", "lr/10", "adam"),
        judged_at="end",
        optimizer="momentum",
        lr=0.05,
        batch_size=1,
        steps=600,
    ),
    failing(
        "line-high-lr",
        "StackOverflow 48934338: D50-D30 ReLU, regression of one number, SGD .1",
        partial(mlp, 1, 50, 30, 1, init="default"),
        partial(data.function, _line, 10.0, noise=1.0),
        HIGH | {"exploding-gradient", "unscaled-inputs", "unscaled-targets", "dead-units"},
        0.9,
        sound={"lr": 0.001},
        cure=("lr/100", "standard-targets", "adam"),
        optimizer="sgd",
        lr=0.1,
        batch_size=32,
        steps=300,
    ),
    failing(
        "linear-mse-high-lr",
        "StackOverflow 48385830: D30-D10 linear, N(0, 1), SGD 3.0, squared error, batch 10",
        partial(mlp, 784, 30, 10, activation="linear", init="unit"),
        data.mnist,
        HIGH | {"output-does-not-fit-loss", "exploding-gradient", "bad-initialization"},
        DIGITS,
        sound_model=partial(mlp, 784, 30, 10, activation="sigmoid", init="glorot"),
        sound={"lr": 0.3, "loss": None},
        cure=("lr/100", "adam", "lr/10"),
        loss="one_hot_mse",
        optimizer="sgd",
        lr=3.0,
        batch_size=10,
        steps=600,
    ),
    failing(
        "xor-mae",
        "StackOverflow 31556268: XOR, 4-1 sigmoid, absolute error, SGD .05",
        partial(mlp, 2, 4, 1, activation="sigmoid", last="sigmoid"),
        data.xor,
        {"learning-rate-too-low", "output-does-not-fit-loss"},
        0.9,
        sound_model=partial(mlp, 2, 8, 1, activation="tanh"),
        sound={"optimizer": "adam", "lr": 0.05, "loss": None},
        cure=("lr*10", "lr*100", "adam"),
        task="binary",
        loss="absolute",
        optimizer="sgd",
        lr=0.05,
        batch_size=4,
        steps=500,
    ),
)
