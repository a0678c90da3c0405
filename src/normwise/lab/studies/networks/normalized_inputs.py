"""A small regression network whose first layer is batch normalization of the inputs themselves."""

from __future__ import annotations

from torch import nn

from normwise.nn import BatchNorm1d


def _network(features: int) -> nn.Sequential:
    """The lab's mlp:32x2 with batch normalization in front of it."""
    return nn.Sequential(
        BatchNorm1d(features), nn.Linear(features, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1)
    )


def two() -> nn.Sequential:
    """For two features."""
    return _network(2)


def ten() -> nn.Sequential:
    """For ten features."""
    return _network(10)
