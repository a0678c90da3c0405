"""Sequences: recurrent networks, attention, text and signals."""

from __future__ import annotations

from functools import partial

from torch import nn

from benchmarks.doctor import data
from benchmarks.doctor.healthy.make import ADAM, healthy
from benchmarks.doctor.healthy.networks import Bag, Recurrent, Transformer, Waves

CASES = (
    healthy("lstm", "an LSTM", partial(Recurrent, nn.LSTM), data.sentences, 0.85, **{**ADAM, "lr": 0.01}),
    healthy("gru", "a GRU", partial(Recurrent, nn.GRU), data.sentences, 0.85, **{**ADAM, "lr": 0.01}),
    healthy("transformer", "a small transformer", Transformer, data.sentences, 0.85, **ADAM),
    healthy("embedding-bag", "a mean of embeddings", Bag, data.sentences, 0.8, **{**ADAM, "lr": 0.01}),
    healthy("waves", "convolutions of a signal", Waves, data.waves, 0.85, **{**ADAM, "lr": 0.003}),
)
