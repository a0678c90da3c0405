"""The Inception network of figure 5 in Ioffe and Szegedy 2015, and a small one of the same topology.

Both are built from the same rows. They have no batch normalization: that is put in, before each ReLU, by
``normwise.batch_normalize``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Row(NamedTuple):
    """One row of figure 5: the filters of an Inception block.

    Attributes:
        ones: of the 1×1 convolutions; 0 where the block has none.
        before_three: of the 1×1 convolutions before the 3×3 ones.
        three: of the 3×3 convolutions.
        before_double: of the 1×1 convolutions before the two 3×3 ones.
        double: of the two 3×3 convolutions.
        pool: ``avg`` or ``max``.
        projection: of the 1×1 convolutions after the pooling; 0 where what is pooled passes through.
        stride: of the last convolution of each branch and of the pooling.
    """

    ones: int
    before_three: int
    three: int
    before_double: int
    double: int
    pool: str
    projection: int
    stride: int = 1

    def outputs(self, inputs: int) -> int:
        """The feature maps that the block puts out."""
        return self.ones + self.three + self.double + (self.projection or inputs)

    def divided(self, by: int) -> Row:
        """The same with fewer filters."""
        ones, before_three, three, before_double, double = (each // by for each in self[:5])
        return Row(ones, before_three, three, before_double, double, self.pool, self.projection // by, self.stride)


FIGURE_5: Mapping[str, Row] = {
    "3a": Row(64, 64, 64, 64, 96, "avg", 32),
    "3b": Row(64, 64, 96, 64, 96, "avg", 64),
    "3c": Row(0, 128, 160, 64, 96, "max", 0, stride=2),
    "4a": Row(224, 64, 96, 96, 128, "avg", 128),
    "4b": Row(192, 96, 128, 96, 128, "avg", 128),
    "4c": Row(160, 128, 160, 128, 160, "avg", 128),
    "4d": Row(96, 128, 192, 160, 192, "avg", 128),
    "4e": Row(0, 128, 192, 192, 256, "max", 0, stride=2),
    "5a": Row(352, 192, 320, 160, 224, "avg", 128),
    "5b": Row(352, 192, 320, 192, 224, "max", 128),
}
"""The table as it is printed. Its rows 4c and 4d put out 608 feature maps and say 576."""

ADDED_UP: Mapping[str, Row] = {
    name: row._replace(projection=96) if name in ("4c", "4d") else row for name, row in FIGURE_5.items()
}
"""The same with 96 filters after the pooling of 4c and 4d, with which every row puts out what it says. Ours."""

SMALL: Mapping[str, Row] = {name: FIGURE_5[name].divided(8) for name in ("3a", "3c", "4a", "4e", "5b")}
"""Five of the ten blocks, with an eighth of the filters."""


def convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    """A convolution that keeps the size of what it is given, or halves it, and a ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, size, stride, padding=size // 2), nn.ReLU())


class Block(nn.Module):
    """An Inception block: branches side by side, and their feature maps one after another."""

    def __init__(self, inputs: int, row: Row) -> None:
        super().__init__()
        stride = row.stride
        pool: nn.Module = nn.AvgPool2d(3, stride, padding=1) if row.pool == "avg" else nn.MaxPool2d(3, stride, 1)
        branches: list[nn.Module] = [convolution(inputs, row.ones, 1)] if row.ones else []
        branches.append(
            nn.Sequential(convolution(inputs, row.before_three, 1), convolution(row.before_three, row.three, 3, stride))
        )
        branches.append(
            nn.Sequential(
                convolution(inputs, row.before_double, 1),
                convolution(row.before_double, row.double, 3),
                convolution(row.double, row.double, 3, stride),
            )
        )
        branches.append(nn.Sequential(pool, convolution(inputs, row.projection, 1)) if row.projection else pool)
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H/stride, W/stride)."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


def blocks(inputs: int, rows: Sequence[Row]) -> tuple[list[nn.Module], int]:
    """Blocks one after another, and the feature maps that the last puts out."""
    made: list[nn.Module] = []
    for row in rows:
        made.append(Block(inputs, row))
        inputs = row.outputs(inputs)
    return made, inputs


def figure_5(rows: Mapping[str, Row] = ADDED_UP) -> nn.Sequential:
    """The whole network for images of 224×224 and 1,000 classes, without auxiliary classifiers.

    The first convolution is separable with depth multiplier 8, as the paper says: 8 filters of 7×7 for each color, and
    64 of 1×1 over these 24 maps.
    """
    made, outputs = blocks(192, list(rows.values()))
    return nn.Sequential(
        nn.Conv2d(3, 24, 7, stride=2, padding=3, groups=3, bias=False), convolution(24, 64, 1),
        nn.MaxPool2d(3, 2, 1),
        convolution(64, 64, 1), convolution(64, 192, 3),
        nn.MaxPool2d(3, 2, 1),
        *made,
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(outputs, 1000),
    )  # fmt: skip


class Distortion(nn.Module):
    """Photometric distortion in training: contrast times 1 + a, brightness plus b, a and b uniform in ±``most``."""

    def __init__(self, most: float) -> None:
        super().__init__()
        self.most = most

    def forward(self, x: Tensor) -> Tensor:
        """Draw a and b anew for each image."""
        if not self.training:
            return x
        one = x[:, :1, :1, :1]
        a, b = (self.most * (2 * torch.rand_like(one) - 1) for _ in range(2))
        return x * (1 + a) + b


def small(dropout: float = 0.4, normalized: bool = True, distortion: float = 0.4) -> nn.Sequential:
    """The small network for images of 32×32 and ten classes.

    Args:
        dropout: before the last layer; 40 % in the original (section 4.2.3).
        normalized: whether the first layers have local response normalization.
        distortion: how much brightness and contrast are distorted in training.
    """
    made, outputs = blocks(24, list(SMALL.values()))
    first, second = ([nn.LocalResponseNorm(5)] if normalized else [] for _ in range(2))
    return nn.Sequential(
        Distortion(distortion),
        convolution(3, 16, 3, stride=2), *first,
        convolution(16, 16, 1), convolution(16, 24, 3), *second,
        nn.MaxPool2d(3, 2, 1),
        *made,
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(outputs, 10),
    )  # fmt: skip


def inception() -> nn.Sequential:
    """The small network as it was before section 4.2.1."""
    return small()


def without_dropout() -> nn.Sequential:
    """The same without dropout."""
    return small(dropout=0.0)


def without_local_normalization() -> nn.Sequential:
    """The same without local response normalization."""
    return small(normalized=False)


def less_distorted() -> nn.Sequential:
    """The same with a quarter of the photometric distortion."""
    return small(distortion=0.1)


def changed() -> nn.Sequential:
    """The small network after section 4.2.1."""
    return small(dropout=0.0, normalized=False, distortion=0.1)


def dropout_5() -> nn.Sequential:
    """The changed network with 5 % dropout, as some of the ensemble of section 4.2.3 have."""
    return small(dropout=0.05, normalized=False, distortion=0.1)


def dropout_10() -> nn.Sequential:
    """The same with 10 %."""
    return small(dropout=0.10, normalized=False, distortion=0.1)
