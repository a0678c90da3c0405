from __future__ import annotations

import pytest
from torch import nn

from normwise.surgery.sites import is_sequential, sites


def rows(net):
    return {site.link.name: (site.linear and site.linear.name, site.direct, site.normalized) for site in sites(net)}


def test_sees_through_nested_sequentials():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.ReLU(), nn.Sequential(nn.Conv2d(2, 3, 3))), nn.Tanh())
    assert rows(net) == {"1.0": ("0", True, False), "2": ("1.1.0", True, False)}


@pytest.mark.parametrize(
    ("between", "linear", "direct"),
    [
        ([], "0", True),
        ([nn.Identity()], "0", True),
        ([nn.Dropout()], "0", False),
        ([nn.MaxPool1d(2)], "0", False),
        ([nn.Tanh()], "0", False),
        ([nn.Flatten()], None, False),
        ([nn.Bilinear(2, 2, 2)], None, False),
    ],
)
def test_what_lies_between(between, linear, direct):
    net = nn.Sequential(nn.Conv1d(2, 3, 1), *between, nn.ReLU())
    assert rows(net)[str(len(net) - 1)] == (linear, direct, False)


@pytest.mark.parametrize(
    "layers",
    [
        [nn.BatchNorm1d(3), nn.ReLU()],
        [nn.BatchNorm1d(3), nn.Dropout(), nn.ReLU()],
        [nn.LayerNorm(3), nn.ReLU()],
        [nn.ReLU(), nn.GroupNorm(1, 3)],
        [nn.Sequential(nn.InstanceNorm1d(3)), nn.Identity(), nn.ReLU()],
        [nn.ReLU(), nn.Dropout(), nn.SyncBatchNorm(3)],
    ],
)
def test_knows_normalized_places(layers):
    ((_, _, normalized),) = rows(nn.Sequential(nn.Linear(3, 3), *layers)).values()
    assert normalized


def test_a_normalization_elsewhere_does_not_count():
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3), nn.BatchNorm1d(3))
    assert rows(net) == {"2": ("1", True, False)}


def test_a_shared_linear_map_is_not_only_here():
    linear = nn.Linear(3, 3)
    assert rows(nn.Sequential(linear, nn.ReLU(), linear, nn.Tanh())) == {
        "1": ("0", False, False),
        "3": ("2", False, False),
    }


def test_a_linear_map_at_the_end_of_a_shared_sequential_is_not_only_here():
    inner = nn.Sequential(nn.Linear(3, 3))
    net = nn.Sequential(inner, nn.ReLU(), inner)
    assert rows(net) == {"1": ("0.0", False, False)}


def test_a_shared_sequential_is_seen_once():
    block = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    assert rows(nn.Sequential(block, block)) == {"0.1": ("0.0", True, False)}


class Own(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


def test_a_forward_of_its_own_is_not_sequential():
    assert is_sequential(nn.Sequential())
    assert is_sequential(type("Named", (nn.Sequential,), {})())
    assert not is_sequential(Own())
    patched = nn.Sequential()
    patched.forward = lambda x: x
    assert not is_sequential(patched)
    assert rows(Own(nn.Linear(3, 3), nn.ReLU())) == {}
    assert rows(nn.Sequential(nn.Linear(3, 3), Own(nn.Sequential(nn.ReLU())), nn.Tanh())) == {
        "2": (None, False, False),
        "1.0.0": (None, False, False),
    }
