"""Time series of shape (N, C, L), classified by a one-dimensional convolution.

normwise compare --model examples/time_series.py:make_model --data examples/time_series.py:make_data --steps 600 \
    --lr 0.02,0.1 --arm plain --arm "standard: inputs=standard" --arm bn

What comes out: at a rate of 0.02 only the network with batch normalization learns in 600 steps; at 0.1 all three arms
end at 94 or 95 %, that one after a tenth of the steps. Scaling the inputs takes gravity, an offset of 9.81, off one of
their axes; it is not that which makes the difference.
"""

import numpy as np
import torch
from torch import nn

NAMES = np.array(["rest", "walk", "run", "fall"])


def make_data():
    """Two seconds of a sensor at 50 Hz: acceleration on three axes in m/s², and what was done."""
    torch.manual_seed(0)
    n, time = 1600, torch.arange(100) / 50
    y = torch.randint(4, (n,))
    per_second = torch.tensor([0, 1.8, 2.6, 0])[y] * (1 + 0.15 * torch.randn(n))
    strength = torch.tensor([0, 2.0, 3.0, 0])[y] * (1 + 0.3 * torch.randn(n))
    swing = strength[:, None] * (2 * torch.pi * (per_second[:, None] * time + torch.rand(n, 1))).sin()
    hit = 0.2 + 1.6 * torch.rand(n, 1)
    bump = 12 * (y == 3)[:, None] * (-(((time - hit) / 0.06) ** 2)).exp()
    X = torch.stack([0.5 * swing, 0.3 * swing.roll(12, 1), 9.81 + swing - bump], dim=1) + torch.randn(n, 3, 100)
    names = NAMES[y]
    return (X[:1000], names[:1000]), (X[1000:], names[1000:])


def make_model():
    layers, channels = [], 3
    for width in (16, 16, 32, 32):
        layers += [nn.Conv1d(channels, width, 5, stride=2, padding=2), nn.ReLU()]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(32, 4))
