"""Subclasses, and what is compiled inside a network."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import normwise as nw
from normwise.surgery import estimate_population
from populations import assert_moments, numpy_moments, split


class Changed(nn.BatchNorm1d):
    """A layer for (N, L, C)."""

    def forward(self, x):
        return torch.relu(super().forward(x.transpose(1, 2)).transpose(1, 2))


class Halved(nn.BatchNorm1d):
    """A layer that normalizes half of what it is given."""

    def forward(self, x):
        return super().forward(x[: len(x) // 2])


class Activated(nw.BatchNorm1d):
    def forward(self, x, residual=None, mask=None):
        return super().forward(x, residual, mask).tanh()


@pytest.mark.parametrize("length", [4, 6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_subclass_is_asked_which_axis_it_normalizes(length, dtype):
    layer, x = Changed(4, momentum=0.3, dtype=dtype), torch.randn(20, length, 4, dtype=dtype)
    x = x * torch.arange(1, 5) + torch.arange(length).unsqueeze(1)
    estimate_population(layer, [*split(x[:18], 6), x[18:19], x[19:]])
    assert_moments(layer, numpy_moments(x, -1), dtype)
    assert layer.momentum == 0.3
    assert layer.track_running_stats


def test_a_subclass_with_more_behaviour_is_estimated():
    net, x = nn.Sequential(Activated(3, momentum=None), nn.BatchNorm1d(3)), torch.randn(20, 3)
    estimate_population(net, [*split(x[:18], 6), x[18:19], x[19:]])
    assert_moments(net[0], numpy_moments(x))
    assert net[0].momentum is None
    assert net[0]._momentum_tensor is None
    assert net[1].running_var.max() < 0.6  # of a tanh


def test_a_subclass_that_normalizes_something_else_is_left_alone():
    net, x = nn.Sequential(Halved(3), nn.BatchNorm1d(3)), torch.randn(20, 3)
    for mode in ("pooled", "layerwise"):
        report = estimate_population(net, split(x, 10), mode=mode)
        assert [each.note for each in report.layers] == ["Halved normalizes something else than its input", ""]
        assert net[0].running_mean.eq(0).all()
        assert net[0].num_batches_tracked == 0


@pytest.mark.parametrize("part", ["network", "layer", "function"])
def test_what_is_compiled_inside_runs_as_written(part):
    net = nn.Sequential(nw.BatchNorm1d(3))
    forward = None
    if part == "function":
        inner = torch.compile(lambda x: net[0](x), backend="eager")

        def forward(model, batch):
            inner(batch)

        with torch.no_grad():
            inner(torch.randn(5, 3))
    else:
        compiled = net if part == "network" else net[0]
        compiled.compile(backend="eager")
        with torch.no_grad():
            compiled(torch.randn(5, 3))
    x = torch.randn(12, 3)
    estimate_population(net, split(x, 5), forward=forward)
    assert_moments(net[0], numpy_moments(x))
