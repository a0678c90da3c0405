"""Optimizers, regularization, and trainings that are short or have few examples."""

from __future__ import annotations

from functools import partial

from torch import nn

from benchmarks.doctor import data
from benchmarks.doctor.build import lenet, mlp
from benchmarks.doctor.healthy.make import ADAM, MOMENTUM, SGD, healthy

DIGITS = partial(mlp, 64, 64, 64, 10, init="he")


def sparse() -> nn.Module:
    """A wide layer of ReLU with biases below 0, so that most of its outputs are 0."""
    network = mlp(64, 256, 64, 10, init="he")
    nn.init.constant_(network[1].bias, -0.5)
    return network


CASES = (
    healthy("sgd", "plain SGD", DIGITS, data.digits, 0.9, **SGD),
    healthy("momentum", "SGD with momentum", DIGITS, data.digits, 0.9, **MOMENTUM),
    healthy("rmsprop", "RMSprop", DIGITS, data.digits, 0.9, **{**ADAM, "optimizer": "rmsprop", "lr": 0.001}),
    healthy("adagrad", "Adagrad", DIGITS, data.digits, 0.9, **{**ADAM, "optimizer": "adagrad", "lr": 0.02}),
    healthy("adamw", "AdamW with decay", DIGITS, data.digits, 0.9, **{**ADAM, "optimizer": "adamw"}, weight_decay=0.01),
    healthy(
        "nesterov-schedule",
        "Nesterov's momentum, a rate that falls",
        DIGITS,
        data.digits,
        0.9,
        **{**MOMENTUM, "optimizer": "nesterov"},
        schedule="step:150:0.1",
    ),
    healthy("weight-decay", "SGD with decay", DIGITS, data.digits, 0.9, **SGD, weight_decay=0.001),
    healthy(
        "dropout",
        "dropout of one half",
        partial(mlp, 784, 256, 128, 10, init="he", dropout=0.5),
        data.mnist,
        0.85,
        **{**ADAM, "lr": 0.001},
    ),
    healthy(
        "few-examples",
        "a hundred examples",
        partial(mlp, 64, 32, 10),
        data.few_digits,
        0.95,
        **{**ADAM, "batch_size": 20, "steps": 300},
    ),
    healthy(
        "early",
        "forty steps: the loss still falls",
        partial(lenet, ((8, 3), (16, 3)), (32,)),
        data.mnist,
        0.4,
        **{**ADAM, "lr": 0.001, "steps": 50},
    ),
    healthy(
        "early-sgd",
        "sixty steps of SGD: the loss still falls",
        partial(mlp, 784, 100, 10, init="he"),
        data.mnist,
        0.6,
        **{**SGD, "lr": 0.05, "steps": 80},
    ),
    healthy("sparse-relu", "most outputs of a wide ReLU are 0", sparse, data.digits, 0.9, **ADAM),
    healthy(
        "standard-table", "a table, standardized", partial(mlp, 30, 32, 1), data.cancer, 0.93, task="binary", **ADAM
    ),
    healthy(
        "noise-limited", "clouds that overlap", partial(mlp, 2, 32, 32, 3), partial(data.blobs, 3, 3.5), 0.6, **ADAM
    ),
    healthy(
        "small-batch",
        "batches of four",
        partial(mlp, 64, 64, 10),
        data.digits,
        0.9,
        **{**SGD, "lr": 0.05, "batch_size": 4, "steps": 600},
    ),
    healthy(
        "large-batch",
        "batches of 500",
        DIGITS,
        data.digits,
        0.9,
        **{**ADAM, "lr": 0.005, "batch_size": 500, "steps": 150},
    ),
    healthy("iris", "raw irises, Adam", partial(mlp, 4, 32, 3, init="default"), data.iris, 0.9, **{**ADAM, "lr": 0.01}),
    healthy(
        "no-issue",
        "StackOverflow 41372874: no issue",
        partial(mlp, 2, 10, 2, activation="tanh"),
        data.circles,
        0.9,
        **{**ADAM, "lr": 0.01, "steps": 500},
    ),
)
