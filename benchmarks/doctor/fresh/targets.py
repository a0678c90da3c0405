"""Healthy networks with targets that are noisy, rare, ordered, positive or skewed."""

from __future__ import annotations

from functools import partial

from torch import nn

from benchmarks.doctor.fresh import data, losses
from benchmarks.doctor.fresh.networks import chain, signal
from benchmarks.doctor.healthy.make import ADAM, MOMENTUM, healthy

CASES = (
    healthy(
        "wrong-fifth",
        "a fifth of the labels drawn anew",
        partial(chain, 3, 48, 48, 1, of=nn.ELU),
        partial(data.shells, 2, 3, wrong=0.2, binary=True),
        0.78,
        task="binary",
        **{**ADAM, "lr": 0.003},
    ),
    healthy(
        "friedman-noise",
        "noise that leaves an R² of 0.2",
        partial(chain, 10, 24, 1, of=nn.Softplus),
        partial(data.centered, noise=1.8, count=6000),
        0.1,
        **{**ADAM, "lr": 0.005},
    ),
    healthy(
        "diabetes",
        "two hundred and sixty patients, an R² of one half",
        partial(chain, 10, 16, 1, of=nn.Tanh),
        data.diabetes,
        0.4,
        **{**MOMENTUM, "lr": 0.01, "steps": 200},
        weight_decay=0.01,
    ),
    healthy(
        "rare-signals",
        "one of twenty signals has something in it",
        partial(signal, nn.LeakyReLU, outputs=1),
        partial(data.bursts, 3000, 64, 0.05),
        0.97,
        task="binary",
        **{**ADAM, "lr": 0.003, "batch_size": 64},
    ),
    healthy(
        "grades",
        "five ordered classes by four logits",
        partial(chain, 8, 48, 4, of=nn.CELU),
        data.grades,
        0.65,
        loss=losses.ordinal,
        metric=losses.graded,
        **{**ADAM, "lr": 0.005},
    ),
    healthy(
        "waiting-softplus",
        "positive times, softplus as the output, the gamma deviance",
        partial(chain, 5, 48, 48, 1, last=nn.Softplus),
        data.waiting,
        0.6,
        loss=losses.gamma,
        task="regression",
        **{**ADAM, "lr": 0.003},
    ),
    healthy(
        "friedman-quantile",
        "the loss of a quantile",
        partial(chain, 10, 64, 1, of=nn.SELU, init="lecun"),
        partial(data.friedman, noise=0.3),
        0.6,
        loss=losses.pinball,
        task="regression",
        **{**ADAM, "lr": 0.005, "steps": 400},
    ),
)
