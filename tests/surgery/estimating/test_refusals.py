"""What cannot be estimated is an error, and changes nothing."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import normwise as nw
from normwise.errors import InvalidArgumentError, SurgeryError
from normwise.surgery import estimate_population
from populations import Branches, deep, split


@pytest.mark.parametrize("index", [0, 2])
@pytest.mark.parametrize("mode", ["pooled", "paper", "layerwise"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, 1e200])
def test_a_batch_that_is_not_finite_is_refused(index, mode, value):
    net = nn.Sequential(nn.Identity(), nw.BatchNorm1d(3), nn.BatchNorm1d(3)).double()
    batches = split(torch.randn(12, 3, dtype=torch.float64), 4)
    batches[index][1, 2] = value
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(SurgeryError, match=f"batch {index}: the input of 1 holds NaN"):
        estimate_population(net, batches, mode=mode)
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("batches", [[], iter([]), torch.utils.data.DataLoader([])], ids=["list", "iterator", "loader"])
def test_no_batch_is_an_error(batches):
    with pytest.raises(SurgeryError, match="there was no batch"):
        estimate_population(nw.BatchNorm1d(3), batches)


@pytest.mark.parametrize("steps", [0, -1])
def test_steps_below_one_are_an_error(steps):
    with pytest.raises(InvalidArgumentError, match=f"steps must be at least 1, or None for all batches, got {steps}"):
        estimate_population(nw.BatchNorm1d(3), [torch.randn(4, 3)], steps=steps)


def test_a_mode_that_does_not_exist_is_an_error():
    with pytest.raises(InvalidArgumentError, match="unknown mode 'pool'; did you mean 'pooled'"):
        estimate_population(nw.BatchNorm1d(3), [torch.randn(4, 3)], mode="pool")


def test_layerwise_refuses_what_can_be_passed_over_once():
    with pytest.raises(SurgeryError, match="a generator can be passed over only once; give a list or a DataLoader"):
        estimate_population(deep(), (x for x in torch.randn(3, 4, 4, dtype=torch.float64)), mode="layerwise")

    class Once:
        def __init__(self):
            self.batches = iter(torch.randn(3, 4, 4, dtype=torch.float64))

        def __iter__(self):
            return self.batches

    with pytest.raises(SurgeryError, match="there was no batch"):
        estimate_population(deep(), Once(), mode="layerwise")

    class Shrinking:
        size = 4

        def __iter__(self):
            self.size -= 1
            return iter(torch.randn(self.size, 4, 4, dtype=torch.float64))

    with pytest.raises(SurgeryError, match="the first pass gave 3 batches and a later one 2"):
        estimate_population(deep(), Shrinking(), mode="layerwise")


@pytest.mark.parametrize(
    ("net", "says"),
    [
        (nn.Linear(3, 3), r"found none \(normalizations in the network: none\)"),
        (nn.Sequential(nn.LayerNorm(3)), "LayerNorm × 1"),
        (nw.FrozenBatchNorm(nn.BatchNorm1d(3)), "the network itself: it is frozen"),
        (nn.Sequential(nn.BatchNorm1d(3, track_running_stats=False)), "0: it has no running statistics"),
        (nn.Sequential(nn.LazyBatchNorm1d()), r"0 \(LazyBatchNorm1d\) has no size yet"),
        (torch.compile(nn.Sequential(nn.BatchNorm1d(3)), backend="eager"), "compiled or scripted"),
    ],
    ids=str,
)
def test_networks_with_nothing_to_estimate_are_refused(net, says):
    with pytest.raises(SurgeryError, match=says):
        estimate_population(net, [torch.randn(4, 3)])


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_scripted_networks_are_refused():
    net = nn.Sequential(torch.jit.script(nn.BatchNorm1d(3)))
    with pytest.raises(SurgeryError, match=r"cannot estimate the population of 0: it is compiled or scripted"):
        estimate_population(net, [torch.randn(4, 3)])


def test_a_network_none_of_whose_layers_is_reached_is_an_error():
    net = Branches()
    with pytest.raises(SurgeryError, match="used: no batch reached it"):
        estimate_population(net, [torch.randn(4, 3)], forward=lambda model, x: x)


def test_statistics_that_overflow_their_type_change_nothing():
    net = nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm1d(3).half())
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(SurgeryError, match=r"too large for torch.float16"):
        estimate_population(net, [torch.randn(9, 3) * 300], forward=lambda net, x: (net[0](x), net[1](x.half())))
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)
