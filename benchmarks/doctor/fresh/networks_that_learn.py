"""Healthy networks of other shapes and with other settings, some with numbers that look bad."""

from __future__ import annotations

from functools import partial

from torch import nn

from benchmarks.doctor.data import fashion, reconstruction
from benchmarks.doctor.fresh import data, losses
from benchmarks.doctor.fresh.networks import (
    Attention,
    Cosines,
    Gated,
    Largest,
    Phrases,
    Reader,
    bottleneck,
    chain,
    clothes,
    deep,
    identity_recurrent,
    residual,
    signal,
)
from benchmarks.doctor.healthy.make import ADAM, MOMENTUM, SGD, healthy

CASES = (
    healthy(
        "largest-30-percent",
        "layers of which 70 % are 0",
        partial(chain, 784, 128, 64, 10, of=Largest),
        data.flat,
        0.78,
        **{**ADAM, "lr": 0.001},
    ),
    healthy(
        "sigmoid-5-small-gradients",
        "five layers of sigmoids: at first, gradients of the first are a thousandth of the last's",
        partial(deep, 13, 32, 5, 3, nn.Sigmoid),
        data.wine,
        0.9,
        **{**ADAM, "lr": 0.02, "batch_size": 16, "steps": 500},
    ),
    healthy(
        "signal-decay",
        "1-d convolutions, AdamW with a decay of 0.1",
        partial(signal, nn.GELU),
        data.bursts,
        0.8,
        weight_decay=0.1,
        **{**ADAM, "optimizer": "adamw", "lr": 0.003},
    ),
    healthy(
        "signal-dropout",
        "1-d convolutions, hardswish, dropout of 0.3",
        partial(signal, nn.Hardswish, dropout=0.3),
        data.bursts,
        0.75,
        **{**ADAM, "lr": 0.003, "steps": 400},
    ),
    healthy(
        "whole-batch",
        "all examples in each step",
        partial(chain, 13, 16, 3, of=nn.Tanh),
        data.wine,
        0.95,
        **{**SGD, "batch_size": 106, "lr": 0.5, "steps": 200},
    ),
    healthy(
        "slow-and-long",
        "a rate of 1e-4 for 3000 steps",
        partial(chain, 4, 64, 64, 3, of=nn.SiLU, init="default"),
        data.shells,
        0.85,
        **{**ADAM, "lr": 1e-4, "steps": 3000},
    ),
    healthy(
        "lstm-clipped",
        "an LSTM, gradients clipped at 0.5",
        Reader,
        data.order,
        0.85,
        clip=0.5,
        **{**ADAM, "lr": 0.01, "batch_size": 64, "steps": 400},
    ),
    healthy(
        "attention-warmup",
        "a transformer with normalization after the sum, a hundred steps of warmup",
        partial(Attention, dropout=0.1),
        data.order,
        0.85,
        warmup=100,
        **{**ADAM, "lr": 0.005, "batch_size": 64},
    ),
    healthy("phrases", "convolutions of tokens", Phrases, data.order, 0.85, **{**ADAM, "lr": 0.005, "batch_size": 64}),
    healthy(
        "cosine-features",
        "cosines of one number with fixed frequencies",
        Cosines,
        data.chirp,
        0.85,
        **{**ADAM, "lr": 0.003, "steps": 500},
    ),
    healthy(
        "identity-recurrent",
        "a recurrent layer of ReLU that begins as the identity",
        identity_recurrent,
        data.walks,
        0.8,
        clip=1.0,
        **{**ADAM, "lr": 0.003, "steps": 400},
    ),
    healthy("clothes-prelu", "convolutions with strides, PReLU", clothes, fashion, 0.75, **MOMENTUM),
    healthy(
        "clothes-centered-hardtanh",
        "pixels of −1 to 1, hardtanh",
        partial(clothes, nn.Hardtanh),
        lambda: data.changed(fashion(), lambda X: 2 * X - 1),
        0.75,
        **{**ADAM, "optimizer": "rmsprop", "lr": 0.001},
    ),
    healthy(
        "gated-categories",
        "gated linear units on 72 columns of 0 and 1",
        partial(Gated, 72, 32, 3),
        data.categories,
        0.85,
        **{**ADAM, "lr": 0.003},
    ),
    healthy(
        "residual-20-zero",
        "twenty residual branches without normalization that begin at 0",
        partial(residual, 20),
        data.shells,
        0.85,
        **{**MOMENTUM, "lr": 0.005},
    ),
    healthy(
        "autoencoder-sigmoid-output",
        "an autoencoder, a sigmoid as its output and the squared error",
        partial(bottleneck, last=nn.Sigmoid),
        reconstruction,
        0.5,
        metric="explained",
        **{**ADAM, "lr": 0.005, "steps": 500},
    ),
    healthy(
        "mixed-digits",
        "digits mixed in pairs, shares of classes as targets",
        partial(chain, 64, 64, 10, of=nn.Mish, init="default"),
        data.mixed,
        0.75,
        loss=losses.soft,
        metric=losses.agreement,
        **{**ADAM, "steps": 400},
    ),
)
