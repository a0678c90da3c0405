"""What torch does instead. pytorch#49082."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from normwise.surgery import estimate_population
from populations import Branches, assert_moments, numpy_moments, split

ESTIMATES = [
    estimate_population,
    pytest.param(
        lambda net, batches: update_bn(batches, net),
        marks=pytest.mark.xfail(strict=True, reason="pytorch#49082, and what fvcore has in common with it"),
        id="update_bn",
    ),
]


@pytest.mark.parametrize("estimate", ESTIMATES)
def test_a_last_batch_of_two_weighs_as_two(estimate):
    x = torch.cat([torch.randn(64, 3), torch.randn(2, 3) + 10])
    layer = nn.BatchNorm1d(3)
    estimate(nn.Sequential(layer), split(x, 64))
    assert_moments(layer, numpy_moments(x))


@pytest.mark.parametrize("estimate", ESTIMATES)
def test_a_dict_is_passed_as_keywords(estimate):
    net, x = nn.Sequential(nn.BatchNorm1d(3)), torch.randn(12, 3)
    estimate(net, [{"input": part} for part in x.split(12)])
    assert_moments(net[0], numpy_moments(x))


@pytest.mark.parametrize("estimate", ESTIMATES)
def test_a_last_batch_of_one_is_no_error(estimate):
    net, x = nn.Sequential(nn.BatchNorm1d(3)), torch.randn(9, 3)
    estimate(net, split(x, 8))
    assert_moments(net[0], numpy_moments(x))


@pytest.mark.parametrize("estimate", ESTIMATES)
def test_an_unused_layer_keeps_its_statistics(estimate):
    net = Branches()
    net.unused.running_mean.fill_(3)
    estimate(net, [torch.randn(9, 3)])
    assert net.unused.running_mean.eq(3).all()
