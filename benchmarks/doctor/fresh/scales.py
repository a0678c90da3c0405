"""Inputs and targets that are not scaled."""

from __future__ import annotations

from functools import partial

from torch import nn

from benchmarks.doctor.failing.make import failing
from benchmarks.doctor.fresh import data
from benchmarks.doctor.fresh.networks import chain

INPUTS, TARGETS = {"unscaled-inputs"}, {"unscaled-targets"}

CASES = (
    failing(
        "wine-raw",
        "thirteen measurements, each in its unit, tanh",
        partial(chain, 13, 32, 32, 3, of=nn.Tanh),
        partial(data.wine, scaled=False),
        INPUTS | {"saturated-units"},
        0.9,
        sound_data=data.wine,
        cure=("standard-inputs",),
        optimizer="momentum",
        lr=0.02,
        batch_size=16,
        steps=300,
    ),
    failing(
        "table-with-time",
        "a column with the time in seconds among standard ones, PReLU",
        partial(chain, 10, 48, 48, 3, of=nn.PReLU),
        data.stamped,
        INPUTS,
        0.75,
        sound_data=partial(data.stamped, 1.0),
        cure=("standard-inputs", "batch-normalization"),
        optimizer="adam",
        lr=0.002,
        batch_size=64,
        steps=400,
    ),
    failing(
        "friedman-prices",
        "targets about 250,000, GELU",
        partial(chain, 10, 64, 64, 1, of=nn.GELU, init="default"),
        partial(data.friedman, 80_000.0, 250_000.0),
        TARGETS,
        0.8,
        sound_data=data.friedman,
        cure=("standard-targets",),
        optimizer="adam",
        lr=0.003,
        batch_size=50,
        steps=500,
    ),
)
