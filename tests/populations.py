"""Population moments by NumPy, and networks to estimate them of."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

import normwise as nw

# Of float32 the rounding of a sum of some hundred terms of about 1; of float64 the same.
TOLERANCE = {torch.float32: {"rtol": 1e-6, "atol": 1e-6}, torch.float64: {"rtol": 1e-12, "atol": 1e-12}}


def numpy_moments(x, axis=1, mask=None):
    """Mean and unbiased variance of each channel, in float64."""
    values = np.moveaxis(x.double().numpy(), axis, -1)
    values = values.reshape(-1, values.shape[-1]) if mask is None else values[mask.numpy()]
    return values.mean(0), values.var(0, ddof=1)


def assert_moments(layer, want, dtype=torch.float32):
    for got, expected in zip((layer.running_mean, layer.running_var), want, strict=True):
        torch.testing.assert_close(got, torch.tensor(expected, dtype=dtype), **TOLERANCE[dtype])


def split(x, sizes):
    return list(x.split(sizes))


def deep(kind=nw.BatchNorm1d):
    net = nn.Sequential(
        nn.Linear(4, 6), kind(6), nn.ReLU(), nn.Dropout(),
        nn.Linear(6, 5), kind(5), nn.Tanh(),
        nn.Linear(5, 3), kind(3), nn.Linear(3, 2),
    ).double()  # fmt: skip
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter))
    return net


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.unused = nw.BatchNorm1d(3), nn.BatchNorm1d(3)
        self.frozen = nw.FrozenBatchNorm(nn.BatchNorm1d(3))
        self.untracked = nn.BatchNorm1d(3, track_running_stats=False)
        self.suspended = nw.BatchNorm1d(3)
        self.suspended.track_running_stats = False

    def forward(self, x):
        return self.suspended(self.untracked(self.frozen(self.used(x))))
