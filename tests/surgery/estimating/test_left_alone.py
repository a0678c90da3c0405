"""What is left alone, and reported."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import normwise as nw
from normwise.errors import SurgeryError
from normwise.surgery import estimate_population
from populations import Branches, split


def test_what_is_left_alone_is_reported_and_unchanged():
    net = Branches()
    with torch.no_grad():
        for buffer in net.buffers():
            buffer.add_(2)
    before = copy.deepcopy(net.state_dict())
    report = estimate_population(net, [torch.randn(4, 3), torch.randn(2, 3)])
    assert {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])} == {
        "used.running_mean", "used.running_var",
    }  # fmt: skip
    assert before["used.num_batches_tracked"] == net.used.num_batches_tracked == 2
    assert str(report).splitlines() == [
        "name       batches  values per channel  statistics",
        "─────────  ───────  ──────────────────  ───────────────────────────────────────",
        "used       2        6                   new",
        "unused     0        0                   as before: no batch reached it",
        "frozen     0        0                   as before: it is frozen",
        "untracked  0        0                   as before: it has no running statistics",
        "suspended  0        0                   as before: track_running_stats is False",
    ]
    assert repr(report) == str(report)


class Functional(nn.Module):
    """Gives buffers of its own to functions, in one of two forwards."""

    def __init__(self, normalize):
        super().__init__()
        self.norm, self.unused, self.normalize = nw.BatchNorm1d(3), nn.BatchNorm1d(3), normalize
        self.register_buffer("mean", torch.full((3,), 2.0))
        self.register_buffer("var", torch.full((3,), 4.0))

    def forward(self, x):
        return self.normalize(self.norm(x), self.mean, self.var)


def by_keywords(x, mean, var):
    return F.batch_norm(x, running_var=var, running_mean=mean, training=True)


def by_torch(x, mean, var):
    return torch.batch_norm(x, None, None, mean, var, False, 0.1, 1e-5, False)


@pytest.mark.parametrize("normalize", [F.batch_norm, by_keywords, by_torch])
@pytest.mark.parametrize("mode", ["pooled", "layerwise"])
def test_functions_with_buffers_of_the_network_are_reported_and_left_alone(normalize, mode):
    net = nn.Sequential(nw.FrozenBatchNorm(nn.BatchNorm1d(3)), nn.SyncBatchNorm(3), Functional(normalize))
    report = estimate_population(net, [torch.randn(4, 3), torch.randn(3, 3)], mode=mode)
    assert [each.name for each in report.layers] == ["0", "1", "2.norm", "2.unused", "2.mean"]
    assert report.layers[-1][1:3] == (0, 0)
    assert "a function normalizes with it" in report.layers[-1].note
    assert net[2].mean.eq(2).all()
    assert net[2].var.eq(4).all()


def test_functions_without_statistics_have_none_to_report():
    net = Functional(lambda x, mean, var: F.batch_norm(x, None, None, training=True))
    assert [each.name for each in estimate_population(net, [torch.randn(4, 3)]).layers] == ["norm", "unused"]


def test_a_layer_that_saw_one_value_is_left_alone():
    class Pool(nn.Module):
        def __init__(self):
            super().__init__()
            self.map, self.one = nw.BatchNorm2d(3), nw.BatchNorm1d(3)

        def forward(self, x):
            return self.one(self.map(x).mean((2, 3)))

    net = Pool()
    report = estimate_population(net, [torch.randn(1, 3, 4, 4)])
    assert report.layers == [("map", 1, 16, ""), ("one", 1, 1, "fewer than two values")]
    assert net.one.running_var.eq(1).all()
    with pytest.raises(SurgeryError, match="no batch had two values per channel; mode='pooled' needs none"):
        estimate_population(nw.BatchNorm1d(3), split(torch.randn(4, 3), 1), mode="paper")
