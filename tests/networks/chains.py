"""Networks whose layers follow one another."""

from __future__ import annotations

import torch
from torch import nn


def _features(plan, norm: bool) -> nn.Sequential:
    """Convolutions of so many channels, each with its nonlinearity, and "M" for a pooling."""
    layers, channels = [], 3
    for step in plan:
        if step == "M":
            layers.append(nn.MaxPool2d(2, 2))
            continue
        layers.append(nn.Conv2d(channels, step, 3, padding=1))
        layers += [nn.BatchNorm2d(step)] if norm else []
        layers.append(nn.ReLU(inplace=True))
        channels = step
    return nn.Sequential(*layers)


class VGG(nn.Module):
    """Simonyan & Zisserman, arXiv:1409.1556, with the names and, where ``norm``, the order of torchvision."""

    def __init__(self, norm: bool = False):
        super().__init__()
        self.features = _features((4, "M", 6, "M", 8, 8), norm)
        self.avgpool = nn.AdaptiveAvgPool2d((2, 2))
        self.classifier = nn.Sequential(
            nn.Linear(8 * 2 * 2, 16), nn.ReLU(True), nn.Dropout(), nn.Linear(16, 16), nn.ReLU(True), nn.Dropout(),
            nn.Linear(16, 5),
        )  # fmt: skip

    def forward(self, x):
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class AlexNet(nn.Module):
    """Krizhevsky, arXiv:1404.5997, with torchvision's names; where ``norm``, as its VGG: after each convolution."""

    def __init__(self, norm: bool = False):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 5, stride=2, padding=2), *([nn.BatchNorm2d(6)] if norm else []), nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(6, 8, 3, padding=1), *([nn.BatchNorm2d(8)] if norm else []), nn.ReLU(inplace=True),
            nn.Conv2d(8, 6, 3, padding=1), *([nn.BatchNorm2d(6)] if norm else []), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.avgpool = nn.AdaptiveAvgPool2d((2, 2))
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Linear(6 * 2 * 2, 12), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(12, 5)
        )

    def forward(self, x):
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def mlp() -> nn.Sequential:
    """Three Linears with sigmoids between them, as in the paper's first experiment."""
    return nn.Sequential(
        nn.Linear(12, 8), nn.Sigmoid(), nn.Linear(8, 8), nn.Sigmoid(), nn.Linear(8, 5)
    )  # fmt: skip


class Generator(nn.Module):
    """Radford et al., arXiv:1511.06434: transposed convolutions with BN, except for the one before tanh."""

    def __init__(self, norm: bool = True):
        super().__init__()
        layers, channels = [], 6
        for out, kernel, stride, padding in ((8, 2, 1, 0), (6, 4, 2, 1)):
            layers.append(nn.ConvTranspose2d(channels, out, kernel, stride, padding, bias=not norm))
            layers += [nn.BatchNorm2d(out)] if norm else []
            layers.append(nn.ReLU(True))
            channels = out
        self.main = nn.Sequential(*layers, nn.ConvTranspose2d(channels, 3, 4, 2, 1, bias=False), nn.Tanh())

    def forward(self, z):
        return self.main(z)


def conv1d() -> nn.Sequential:
    """Over (N, C, L), with a stride and a dilation."""
    return nn.Sequential(
        nn.Conv1d(3, 6, 3, stride=2), nn.BatchNorm1d(6), nn.ReLU(),
        nn.Conv1d(6, 4, 3, dilation=2, groups=2), nn.BatchNorm1d(4), nn.Tanh(),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 5),
    )  # fmt: skip


def conv3d() -> nn.Sequential:
    """Over (N, C, D, H, W), down and up again."""
    return nn.Sequential(
        nn.Conv3d(2, 4, 3, stride=2, padding=1), nn.BatchNorm3d(4), nn.ReLU(),
        nn.ConvTranspose3d(4, 4, 2, stride=2, groups=2), nn.BatchNorm3d(4), nn.ELU(),
        nn.Conv3d(4, 2, 1),
    )  # fmt: skip
