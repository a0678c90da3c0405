"""Multilayer perceptrons of several activations, normalizations, depths and widths."""

from __future__ import annotations

from functools import partial

from benchmarks.doctor import data
from benchmarks.doctor.build import mlp
from benchmarks.doctor.healthy.make import ADAM, MOMENTUM, SGD, healthy

DIGITS = 64, 64, 64, 10

CASES = (
    healthy("mlp-tanh", "tanh", partial(mlp, *DIGITS, activation="tanh"), data.digits, 0.9, **MOMENTUM),
    healthy("mlp-relu", "ReLU, torch's weights", partial(mlp, *DIGITS, init="default"), data.digits, 0.9, **ADAM),
    healthy("mlp-selu", "SELU", partial(mlp, *DIGITS, activation="selu", init="lecun"), data.digits, 0.9, **MOMENTUM),
    healthy("mlp-gelu", "GELU", partial(mlp, *DIGITS, activation="gelu", init="default"), data.digits, 0.9, **ADAM),
    healthy("mlp-silu", "SiLU", partial(mlp, *DIGITS, activation="silu", init="he"), data.digits, 0.9, **ADAM),
    healthy(
        "mlp-sigmoid",
        "one layer of sigmoids",
        partial(mlp, 64, 100, 10, activation="sigmoid", init="default"),
        data.digits,
        0.9,
        **{**ADAM, "lr": 0.01},
    ),
    healthy("mlp-batch", "batch normalization", partial(mlp, *DIGITS, norm="batch"), data.digits, 0.9, **SGD),
    healthy(
        "mlp-sigmoid-batch",
        "three layers of sigmoids with batch normalization",
        partial(mlp, 784, 100, 100, 100, 10, activation="sigmoid", norm="batch"),
        data.mnist,
        0.9,
        **{**SGD, "lr": 0.5},
    ),
    healthy("mlp-layer", "layer normalization", partial(mlp, *DIGITS, norm="layer"), data.digits, 0.9, **ADAM),
    healthy("mlp-group", "group normalization", partial(mlp, *DIGITS, norm="group"), data.digits, 0.9, **ADAM),
    healthy("mlp-wide", "one layer of 512", partial(mlp, 784, 512, 10, init="default"), data.mnist, 0.9, **ADAM),
    healthy(
        "mlp-narrow",
        "two layers of 16",
        partial(mlp, 64, 16, 16, 10, init="he"),
        data.digits,
        0.9,
        **{**ADAM, "lr": 0.01},
    ),
    healthy(
        "mlp-10-relu-he",
        "ten layers of ReLU with He's weights",
        partial(mlp, 784, *[100] * 10, 10, init="he"),
        data.mnist,
        0.85,
        **{**ADAM, "lr": 0.001, "steps": 400},
    ),
    healthy(
        "mlp-8-tanh-xavier",
        "eight layers of tanh with Xavier's weights",
        partial(mlp, 784, *[64] * 8, 10, activation="tanh"),
        data.mnist,
        0.85,
        **{**ADAM, "lr": 0.001, "steps": 400},
    ),
    healthy(
        "mlp-20-selu",
        "twenty layers of SELU",
        partial(mlp, 64, *[64] * 20, 10, activation="selu", init="lecun"),
        data.digits,
        0.85,
        **{**ADAM, "lr": 0.001, "steps": 400},
    ),
    healthy(
        "mlp-20-relu-batch",
        "twenty layers of ReLU with batch normalization",
        partial(mlp, 64, *[64] * 20, 10, init="he", norm="batch"),
        data.digits,
        0.8,
        **{**ADAM, "lr": 0.003, "steps": 500},
    ),
    healthy("logistic", "no hidden layer", partial(mlp, 64, 10), data.digits, 0.85, **SGD),
    healthy("spirals", "two inputs", partial(mlp, 2, 32, 32, 2), data.moons, 0.9, **ADAM),
)
