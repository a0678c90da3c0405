"""Outputs that the loss does not expect, losses that are not finite, and too few examples."""

from __future__ import annotations

from functools import partial

from torch import nn

from benchmarks.doctor.data import cancer, digits
from benchmarks.doctor.failing.make import failing
from benchmarks.doctor.fresh import data, losses
from benchmarks.doctor.fresh.networks import Attention, chain

OUTPUT = {"output-does-not-fit-loss"}
ADAM = {"optimizer": "adam", "lr": 0.003, "batch_size": 32, "steps": 400}

CASES = (
    failing(
        "softmax-of-one-output",
        "two classes by one output with a softmax, which is 1",
        partial(chain, 30, 24, 1, of=nn.ELU, last=lambda: nn.Softmax(dim=1)),
        cancer,
        OUTPUT,
        0.9,
        sound_model=partial(chain, 30, 24, 1, of=nn.ELU),
        sound={"loss": None},
        cure=("linear-output",),
        task="binary",
        loss="binary",
        **ADAM,
    ),
    failing(
        "scores-as-logarithms",
        "nll_loss of outputs without a log-softmax",
        partial(chain, 64, 40, 10, of=nn.Tanh),
        digits,
        OUTPUT,
        0.85,
        sound_model=partial(chain, 64, 40, 10, of=nn.Tanh, last=lambda: nn.LogSoftmax(dim=1)),
        judged_at="end",
        loss=losses.scores,
        **ADAM,
    ),
    failing(
        "tanh-output-friedman",
        "tanh as the output of a regression, targets of 0 to 30",
        partial(chain, 10, 64, 64, 1, last=nn.Tanh),
        partial(data.friedman, 5.0, 14.4),
        OUTPUT | {"unscaled-targets", "saturated-units"},
        0.6,
        sound_model=partial(chain, 10, 64, 64, 1),
        cure=("linear-output", "standard-targets"),
        **ADAM,
    ),
    failing(
        "log-of-zero",
        "the Poisson loss of a ReLU's output: log 0",
        partial(chain, 6, 48, 48, 1, last=nn.ReLU),
        data.counts,
        OUTPUT | {"non-finite"},
        0.4,
        sound_model=partial(chain, 6, 48, 48, 1, last=nn.Softplus),
        cure=("linear-output",),
        task="regression",
        loss=losses.poisson,
        **ADAM,
    ),
    failing(
        "attention-few-sentences",
        "a transformer with forty sentences",
        Attention,
        lambda: data.first(data.order(), 40),
        {"overfitting"},
        0.8,
        sound_data=data.order,
        cure=("weight-decay", "dropout"),
        judged_at="validation",
        **ADAM,
    ),
)
