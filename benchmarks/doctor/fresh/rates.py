"""Learning rates that are too high or too low."""

from __future__ import annotations

from functools import partial

from torch import nn

from benchmarks.doctor.failing.make import failing
from benchmarks.doctor.fresh import data
from benchmarks.doctor.fresh.networks import Reader, Walker, Words, chain, residual

HIGH, LOW = {"learning-rate-too-high"}, {"learning-rate-too-low"}

CASES = (
    failing(
        "lstm-order-high-lr",
        "an LSTM, Adam with a rate that would do for SGD",
        Reader,
        data.order,
        HIGH | {"saturated-units"},
        0.85,
        sound={"lr": 0.01},
        cure=("lr/10", "lr/100"),
        judged_at="end",
        optimizer="adam",
        lr=1.0,
        batch_size=64,
        steps=400,
    ),
    failing(
        "softsign-shells-high-lr",
        "softsign, Nesterov's momentum with the rate of plain SGD, tenfold",
        partial(chain, 4, 48, 48, 3, of=nn.Softsign),
        data.shells,
        HIGH | {"saturated-units", "oscillating-loss"},
        0.8,
        sound={"lr": 0.1},
        cure=("lr/10", "lr/100"),
        judged_at="end",
        optimizer="nesterov",
        lr=5.0,
        batch_size=32,
        steps=500,
    ),
    failing(
        "gru-rmsprop-high-lr",
        "a regression by a GRU, RMSprop with 0.3",
        partial(Walker, nn.GRU),
        data.walks,
        HIGH | {"saturated-units", "oscillating-loss"},
        0.8,
        sound={"lr": 0.005},
        cure=("lr/10", "lr/100"),
        judged_at="end",
        optimizer="rmsprop",
        lr=0.3,
        batch_size=32,
        steps=300,
    ),
    failing(
        "elu-friedman-high-lr",
        "a regression by ELU, momentum with 0.5",
        partial(chain, 10, 64, 32, 1, of=nn.ELU),
        data.centered,
        HIGH | {"exploding-gradient", "non-finite"},
        0.8,
        sound={"lr": 0.02},
        cure=("lr/10", "lr/100"),
        judged_at="end",
        optimizer="momentum",
        lr=0.5,
        batch_size=50,
        steps=400,
    ),
    failing(
        "residual-adagrad-low-lr",
        "residual branches without normalization, Adagrad with 1e-5",
        partial(residual, 4),
        data.shells,
        LOW,
        0.8,
        sound={"lr": 0.02},
        cure=("lr*1000", "lr*100", "adam"),
        optimizer="adagrad",
        lr=1e-5,
        batch_size=32,
        steps=400,
    ),
    failing(
        "words-sgd-low-lr",
        "embeddings, SGD with the rate of Adam",
        Words,
        data.topics,
        LOW,
        0.85,
        sound={"lr": 1.0},
        cure=("lr*1000", "lr*100", "adam"),
        optimizer="sgd",
        lr=0.001,
        batch_size=64,
        steps=400,
    ),
)
