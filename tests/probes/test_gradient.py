from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from normwise.probes import gradient_norms


def network():
    return nn.Sequential(nn.Conv1d(2, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(12, 4))


def test_agrees_with_backward():
    net, X, y = network(), torch.randn(5, 2, 6), torch.randint(4, (5,))
    twin = copy.deepcopy(net)
    F.cross_entropy(twin(X), y).backward()
    found = gradient_norms(net, F.cross_entropy(net(X), y))
    assert [row["layer"] for row in found] == ["0", "3"]
    for row, module in zip(found, (twin[0], twin[3]), strict=True):
        expected = np.sqrt(np.square(module.weight.grad.double().numpy()).sum())
        assert row["norm"] == pytest.approx(expected, rel=1e-6)  # a sum of 48 squares in float32
    assert all(parameter.grad is None for parameter in net.parameters())


def test_is_none_for_frozen_and_unused_weights():
    net = network()
    net[0].weight.requires_grad_(False)
    net.unused = nn.Linear(2, 2)
    loss = nn.Sequential(*list(net)[:4])(torch.randn(3, 2, 6)).square().mean()
    norms = {row["layer"]: row["norm"] for row in gradient_norms(net, loss)}
    assert norms["0"] is None
    assert norms["unused"] is None
    assert norms["3"] > 0


def test_is_none_where_everything_is_frozen():
    net = network().requires_grad_(False)
    assert [row["norm"] for row in gradient_norms(net, net(torch.randn(3, 2, 6)).mean())] == [None, None]


def test_tied_weights_have_the_gradient_of_both_uses():
    net = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Tanh(), nn.Linear(3, 3, bias=False))
    net[2].weight = net[0].weight
    X = torch.randn(4, 3)
    found = gradient_norms(net, net(X).square().mean())
    net(X).square().mean().backward()
    expected = net[0].weight.grad.norm().item()
    assert [row["norm"] for row in found] == [pytest.approx(expected, rel=1e-6)] * 2  # one float32 sum, another order


def test_follows_a_loss_that_is_not_finite():
    net = nn.Linear(2, 2)
    (row,) = gradient_norms(nn.Sequential(net), net(torch.full((1, 2), 1e38)).square().sum())
    assert not np.isfinite(row["norm"])
