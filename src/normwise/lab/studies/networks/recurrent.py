"""Networks that read an image pixel by pixel: an LSTM, and one with batch normalization, of Cooijmans et al. 2016."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from normwise.nn import BatchNormLSTM

UNITS = 100
"""Cooijmans et al. 2016, section 5.1."""

NOISE = 0.1
"""The standard deviation of the initial state in training (the same section): the first pixels are the same in all
images, and have no variance for a normalization to divide by."""


class PixelByPixel(nn.Module):
    """A recurrent layer that is given one pixel at each step, row by row, and a linear layer on its last h.

    Images of one channel are first averaged down to ``side`` × ``side`` pixels.
    """

    def __init__(self, lstm: nn.LSTM, side: int) -> None:
        super().__init__()
        self.side, self.lstm, self.head = side, lstm, nn.Linear(lstm.hidden_size, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of ten classes for images (N, 1, H, W)."""
        pixels = F.adaptive_avg_pool2d(x, self.side).flatten(1).t().unsqueeze(-1)
        std = NOISE if self.training else 0.0
        h, c = (std * torch.randn(1, len(x), UNITS, device=x.device) for _ in range(2))
        return self.head(self.lstm(pixels, (h, c))[0][-1])  # type: ignore[no-any-return]


def plain(side: int) -> PixelByPixel:
    """Torch's LSTM."""
    return PixelByPixel(nn.LSTM(1, UNITS), side)


def normalized(side: int, gamma: float) -> PixelByPixel:
    """The same with batch normalization, whose γ start at ``gamma``."""
    return PixelByPixel(BatchNormLSTM(1, UNITS, max_length=side**2, gamma=gamma), side)


lstm_7, lstm_8, lstm_10 = (partial(plain, side) for side in (7, 8, 10))
bn_7, bn_8, bn_10 = (partial(normalized, side, 0.1) for side in (7, 8, 10))
bn1_7, bn1_8, bn1_10 = (partial(normalized, side, 1.0) for side in (7, 8, 10))
