"""The three networks of TheDeepChecker: a convolutional one, a regression, and six convolutions with normalization."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from torch import nn

from benchmarks.doctor.build import Init, drawn, lenet, mlp

SIX = (3, 16, 16, 32, 32, 64, 64)
"""Channels; half of the original's, for speed."""
SIX_OPTIONS: dict[str, Any] = {"optimizer": "momentum", "lr": 0.02, "batch_size": 32, "steps": 250}


def cnn(init: str | Init = "he", last: str = "linear") -> nn.Module:
    """C32k5, maximum, C64k3, maximum, D512 with ReLU, for MNIST; a half of the channels and a quarter of the units."""
    return lenet(((16, 5), (32, 3)), (128,), init=init, last=last)


def regressor(init: str | Init = "he") -> nn.Module:
    """Two layers of 64 with ReLU and one output, for ten features."""
    return mlp(10, 64, 64, 1, init=init)


def six(norm: bool = True, momentum: float = 0.1, init: str | Init = "he", dropout: float = 0.2) -> nn.Module:
    """Six 3×3 convolutions with normalization and ReLU, a maximum and dropout after each two, then a linear map."""
    layers: list[nn.Module] = []
    for index, (channels, features) in enumerate(pairwise(SIX)):
        layers.append(nn.Conv2d(channels, features, 3, padding=1))
        layers += [nn.BatchNorm2d(features, momentum=momentum)] if norm else []
        layers.append(nn.ReLU())
        layers += [nn.MaxPool2d(2), nn.Dropout(dropout)] if index % 2 else []
    return drawn(nn.Sequential(*layers, nn.Flatten(), nn.Linear(SIX[-1] * 4, 10)), init)
