"""A network and data of your own, for ``normwise compare``.

normwise compare --model examples/train.py:make_model --data examples/train.py:make_data
"""

import torch
from torch import nn


def make_data():
    """Two spirals in the plane: (train, test), each an (X, y) pair."""
    torch.manual_seed(0)
    X, y = spirals(1500)
    return (X[:1000], y[:1000]), (X[1000:], y[1000:])


def spirals(n):
    y = torch.arange(n) % 2
    turn = torch.rand(n).sqrt() * 3 * torch.pi
    angle = turn + torch.pi * y
    X = torch.stack([turn * angle.cos(), turn * angle.sin()], dim=1) + 0.2 * torch.randn(n, 2)
    return X, y


def make_model():
    """A network without normalization; ``bn`` inserts one before each tanh."""
    return nn.Sequential(
        nn.Linear(2, 32), nn.Tanh(),
        nn.Linear(32, 32), nn.Tanh(),
        nn.Linear(32, 32), nn.Tanh(),
        nn.Linear(32, 2),
    )  # fmt: skip
