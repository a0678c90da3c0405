from __future__ import annotations

import pytest
import torch
from torch import nn

from normwise.probes import snapshot, update_norms


def test_is_the_distance_that_a_step_moved_each_weight():
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    before = snapshot(net)
    steps = {"0": torch.randn(4, 3), "2": torch.randn(2, 4)}
    with torch.no_grad():
        for name, step in steps.items():
            net[int(name)].weight += step
            net[int(name)].bias += 100  # biases do not count
    found = update_norms(net, before)
    assert [row["layer"] for row in found] == ["0", "2"]
    for row in found:
        expected = steps[row["layer"]].double().square().sum().sqrt().item()
        assert row["norm"] == pytest.approx(expected, rel=1e-5)  # w + step rounds to float32


def test_nothing_moved_is_exactly_zero():
    net = nn.Sequential(nn.Linear(3, 4))
    assert update_norms(net, snapshot(net)) == [{"layer": "0", "norm": 0.0}]


def test_a_snapshot_is_a_copy_without_a_graph():
    net = nn.Sequential(nn.Linear(3, 4))
    before = snapshot(net)
    assert not before["0"].requires_grad
    nn.init.zeros_(net[0].weight)
    assert before["0"].abs().sum() > 0
