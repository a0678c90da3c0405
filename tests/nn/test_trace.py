from __future__ import annotations

import random

import pytest
import torch
from torch import nn

from normwise.nn.trace import no_trace


def network():
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 2))
    net[1].eval()  # frozen by its user
    return net


def state(net):
    tensors = {name: tensor.clone() for name, tensor in net.state_dict(keep_vars=True).items()}
    return tensors, [module.training for module in net.modules()], torch.get_rng_state()


def same(one, other):
    return (
        one[0].keys() == other[0].keys()
        and all(torch.equal(one[0][name], other[0][name]) for name in one[0])
        and one[1] == other[1]
        and torch.equal(one[2], other[2])
    )


class InterruptedByTestError(Exception):
    pass


@pytest.mark.parametrize("raises", [False, True])
def test_puts_back_buffers_flags_and_random_numbers(raises):
    net = network()
    before = state(net)
    try:
        with no_trace(net):
            net.train()
            net(torch.randn(8, 3))
            assert not same(state(net), before)
            net[1].running_mean = torch.full((4,), 7.0)
            if raises:
                raise InterruptedByTestError
    except InterruptedByTestError:
        assert raises
    assert same(state(net), before)


def test_the_buffers_are_the_same_tensors_and_were_never_written_to():
    net = network()
    before = [(id(buffer), buffer._version) for buffer in net.buffers()]
    with no_trace(net):
        net.train()
        net(torch.randn(8, 3))
    assert [(id(buffer), buffer._version) for buffer in net.buffers()] == before


def test_a_graph_that_saved_a_buffer_still_runs_backward():
    net = network().eval()
    y = net(torch.randn(8, 3)).square().sum()
    with no_trace(net):
        net.train()
        net(torch.randn(8, 3))
    y.backward()
    assert net[0].weight.grad is not None


def test_shared_buffers_stay_shared_inside():
    net = nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm1d(3))
    net[1].running_mean = net[0].running_mean
    with no_trace(net):
        assert net[1].running_mean is net[0].running_mean
        net[0].running_mean.fill_(5)
    assert net[0].running_mean.abs().sum() == 0
    assert net[1].running_mean is net[0].running_mean


def test_a_buffer_that_the_body_adds_is_gone():
    net = network()
    names = [name for name, _ in net.named_buffers()]
    with no_trace(net):
        net[0].register_buffer("extra", torch.ones(1))
    assert [name for name, _ in net.named_buffers()] == names


def test_random_modes():
    chooser = random.Random(0)
    net = nn.Sequential(*[nn.Sequential(nn.ReLU(), nn.Dropout()) for _ in range(5)])
    for module in net.modules():
        module.training = chooser.random() < 0.5
    before = [module.training for module in net.modules()]
    with no_trace(net):
        net.train()
    assert [module.training for module in net.modules()] == before
