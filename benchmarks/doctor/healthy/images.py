"""Convolutional networks."""

from __future__ import annotations

from functools import partial

from torch import nn

from benchmarks.doctor import data
from benchmarks.doctor.build import lenet
from benchmarks.doctor.failing.networks import cnn, six
from benchmarks.doctor.healthy.make import ADAM, MOMENTUM, SGD, healthy
from benchmarks.doctor.healthy.networks import Graph, Residual, Unet

LENET = ((6, 5), (16, 5))
PHOTOGRAPHS = {"side": 16, "channels": 3}


def vgg() -> nn.Module:
    """Pairs of 3×3 convolutions with batch normalization, maxima between them."""
    layers: list[nn.Module] = []
    channels = 1
    for features in (8, 8, 16, 16):
        layers += [nn.Conv2d(channels, features, 3, padding=1), nn.BatchNorm2d(features), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if features != channels else []
        channels = features
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(256, 10))


def autoencoder() -> nn.Module:
    """64 pixels through a code of 8."""
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 8), nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64))


CASES = (
    healthy(
        "lenet-tanh", "LeNet of tanh", partial(lenet, LENET, (120, 84), activation="tanh"), data.mnist, 0.9, **MOMENTUM
    ),
    healthy("lenet-relu", "LeNet of ReLU", partial(lenet, LENET, (120, 84), init="default"), data.mnist, 0.9, **ADAM),
    healthy(
        "lenet-batch", "LeNet with batch normalization", partial(lenet, LENET, (84,), norm=True), data.mnist, 0.9, **SGD
    ),
    healthy("cnn-adam", "two convolutions, Adam", cnn, data.mnist, 0.9, **{**ADAM, "lr": 0.001}),
    healthy("residual", "a small residual network", Residual, data.mnist, 0.8, **{**ADAM, "lr": 0.01}),
    healthy(
        "residual-zero-gamma",
        "γ = 0 at the end of each residual branch, as many begin (Goyal et al. 2017)",
        partial(Residual, zero_gamma=True),
        data.mnist,
        0.8,
        **{**ADAM, "lr": 0.01},
    ),
    healthy("vgg-batch", "pairs of convolutions with batch normalization", vgg, data.mnist, 0.9, **MOMENTUM),
    healthy("six-batch", "six convolutions with batch normalization and dropout", six, data.cifar, 0.35, **MOMENTUM),
    healthy(
        "cifar-cnn",
        "a network for photographs at about 40 %",
        partial(lenet, ((16, 3), (32, 3)), (64,), **PHOTOGRAPHS),
        data.cifar,
        0.33,
        **{**ADAM, "lr": 0.001},
    ),
    healthy(
        "raw-pixels-0-1",
        "pixels of 0 to 1, not centered",
        partial(lenet, ((8, 3), (16, 3)), (32,), init="he"),
        data.mnist,
        0.9,
        **MOMENTUM,
    ),
    healthy(
        "centered-pixels",
        "pixels of −1 to 1",
        partial(lenet, ((8, 3), (16, 3)), (32,), init="he"),
        partial(data.mnist, 2 / 255, -1.0),
        0.9,
        **{**ADAM, "lr": 0.001},
    ),
    healthy(
        "unet",
        "a U-Net of one level that takes noise away",
        Unet,
        data.noisy_digits,
        0.4,
        metric="explained",
        **{**ADAM, "lr": 0.005},
    ),
    healthy(
        "autoencoder",
        "an autoencoder",
        autoencoder,
        data.reconstruction,
        0.4,
        metric="explained",
        **{**ADAM, "lr": 0.003, "steps": 500},
    ),
    healthy("graph", "graph convolutions over pixels", Graph, data.digits, 0.9, **{**ADAM, "lr": 0.005}),
)
