"""Weights that are drawn badly, and depth: gradients that vanish or explode, units that saturate or die."""

from __future__ import annotations

from functools import partial

from torch import nn

from benchmarks.doctor.build import constant, normal
from benchmarks.doctor.data import reconstruction
from benchmarks.doctor.failing.make import failing
from benchmarks.doctor.fresh import data
from benchmarks.doctor.fresh.networks import bottleneck, deep, residual, shifted, signal

BAD, VANISHING, EXPLODING = {"bad-initialization"}, {"vanishing-gradient"}, {"exploding-gradient"}
SATURATED, DEAD = {"saturated-units"}, {"dead-units"}
NORMALIZED = ("batch-normalization", "batch-normalization + relu-he")
ADAM = {"optimizer": "adam", "lr": 0.002, "batch_size": 32, "steps": 400}

CASES = (
    failing(
        "gelu-tags-wide-normal",
        "GELU, N(0, 2²) in four layers",
        partial(deep, 16, 64, 3, 5, nn.GELU, normal(2.0)),
        data.tags,
        BAD | EXPLODING,
        0.85,
        sound_model=partial(deep, 16, 64, 3, 5, nn.GELU),
        cure=("xavier", "he", *NORMALIZED),
        task="multilabel",
        **ADAM,
    ),
    failing(
        "signal-tiny-normal",
        "1-d convolutions, N(0, 0.001²)",
        partial(signal, init=normal(0.001)),
        data.bursts,
        BAD | VANISHING,
        0.75,
        sound_model=signal,
        cure=("he", "xavier", *NORMALIZED),
        optimizer="momentum",
        lr=0.02,
        batch_size=32,
        steps=400,
    ),
    failing(
        "autoencoder-constant",
        "an autoencoder whose weights are all 0.03",
        partial(bottleneck, init=constant(0.03)),
        reconstruction,
        BAD,
        0.5,
        sound_model=bottleneck,
        cure=("xavier", "he"),
        metric="explained",
        **ADAM,
    ),
    failing(
        "hardtanh-saturated",
        "hardtanh, N(0, 1) in layers of 100",
        partial(deep, 784, 100, 3, 10, nn.Hardtanh, normal(1.0)),
        data.flat,
        BAD | SATURATED | VANISHING,
        0.75,
        sound_model=partial(deep, 784, 100, 3, 10, nn.Hardtanh),
        cure=("xavier", "tanh-xavier", *NORMALIZED),
        optimizer="sgd",
        lr=0.05,
        batch_size=32,
        steps=400,
    ),
    failing(
        "tanh-30-default",
        "thirty layers of tanh with torch's weights, U(±1/√fan_in)",
        partial(deep, 13, 40, 30, 3, nn.Tanh, "default"),
        data.wine,
        VANISHING | BAD,
        0.8,
        sound_model=partial(deep, 13, 40, 30, 3, nn.Tanh),
        cure=("xavier", "tanh-xavier", *NORMALIZED),
        optimizer="momentum",
        lr=0.01,
        batch_size=16,
        steps=300,
    ),
    failing(
        "sigmoid-6-rmsprop-tags",
        "six layers of sigmoids, RMSprop, several labels",
        partial(deep, 16, 48, 6, 5, nn.Sigmoid),
        data.tags,
        VANISHING | SATURATED,
        0.75,
        sound_model=partial(deep, 16, 48, 2, 5, nn.SiLU),
        cure=("relu-he", "selu-lecun", *NORMALIZED),
        task="multilabel",
        optimizer="rmsprop",
        lr=0.005,
        batch_size=32,
        steps=400,
    ),
    failing(
        "linear-25-friedman",
        "twenty-five linear layers with twice Xavier's deviation",
        partial(deep, 10, 32, 25, 1, nn.Identity, normal(0.35)),
        data.centered,
        EXPLODING | BAD | {"non-finite"},
        0.5,
        sound_model=partial(deep, 10, 32, 25, 1, nn.Identity, nn.init.orthogonal_),
        cure=("orthogonal", "xavier", "batch-normalization"),
        judged_at="end",
        optimizer="sgd",
        lr=0.005,
        batch_size=32,
        steps=400,
    ),
    failing(
        "residual-30-without-normalization",
        "thirty residual branches without normalization, each of which adds as much as it is given",
        partial(residual, 30, zero=False),
        data.shells,
        EXPLODING | BAD | {"non-finite"},
        0.8,
        sound_model=partial(residual, 30),
        cure=("batch-normalization",),
        judged_at="end",
        optimizer="momentum",
        lr=0.005,
        batch_size=32,
        steps=300,
    ),
    failing(
        "relu-negative-bias",
        "ReLU whose biases begin at −4",
        partial(shifted, -4.0, 13, 48, 48, 3),
        data.wine,
        DEAD | BAD,
        0.9,
        sound_model=partial(shifted, 0.0, 13, 48, 48, 3),
        cure=("batch-normalization", "he"),
        optimizer="adam",
        lr=0.003,
        batch_size=16,
        steps=300,
    ),
)
