"""What layers put out before training, by initialization and activation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import sqrt
from typing import Any

import torch
from torch import Tensor

from normwise.lab.reproduction.context import Context
from normwise.nn import BatchNorm1d

WIDTH, LAYERS, BINS = 100, 5, 30
"""The book's, in weight_init_activation_histogram.py."""

EXAMPLES = 1000

STDS = {"std 1": 1.0, "std 0.01": 0.01, "Xavier": sqrt(1 / WIDTH), "He": sqrt(2 / WIDTH)}
"""Of the weights; the book has √(1/n) for Xavier, which is √(2/(n + n)) where layers have equal widths."""

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "ReLU": torch.relu,
}

RANGES = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "ReLU": (1e-9, 2.5)}
"""Of the histograms; with ReLU the zeros, half of all values, and what is larger are left out (ours; the book's range
is 0 to 1 with the zeros)."""


def outputs(context: Context) -> Mapping[str, Any]:
    """By network, a histogram, the spread and shares of each layer's outputs, for inputs from N(0, 1)."""
    return {
        name(activation, weights, norm): _layers(context, ACTIVATIONS[activation], std, norm, RANGES[activation])
        for activation in ACTIVATIONS
        for weights, std in STDS.items()
        for norm in (False, True)
    }


def _layers(
    context: Context, activation: Callable[[Tensor], Tensor], std: float, norm: bool, limits: tuple[float, float]
) -> list[dict[str, Any]]:
    """One network; those of a seed have the same inputs and, but for their scale, the same weights."""
    generator = torch.Generator().manual_seed(context.seed)
    x = torch.randn(EXAMPLES, WIDTH, generator=generator).to(context.device)
    layers = []
    for _ in range(LAYERS):
        z = x @ (std * torch.randn(WIDTH, WIDTH, generator=generator)).to(context.device)
        x = activation(BatchNorm1d(WIDTH, device=context.device)(z).detach() if norm else z)
        layers.append(_described(x.cpu(), limits))
    return layers


def _described(x: Tensor, limits: tuple[float, float]) -> dict[str, Any]:
    low, high = limits
    return {
        "counts": torch.histc(x, BINS, low, high).tolist(),
        "std": x.std().item(),
        "near_ends": ((x < low + 0.1) | (x > high - 0.1)).float().mean().item(),
        "near_middle": ((x - 0.5).abs() < 0.1).float().mean().item(),
        "zero": (x == 0).float().mean().item(),
    }


def name(activation: str, weights: str, norm: bool = False) -> str:
    """What the outcome calls one network."""
    return f"{activation}, {weights}{', BN' if norm else ''}"
