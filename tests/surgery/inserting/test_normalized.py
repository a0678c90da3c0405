"""What stands in the place of a linear map answers for it."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import normwise as nw


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.fc = nn.Conv2d(3, 8, 3), nn.Linear(8, 2)

    def forward(self, x):
        return self.fc(F.relu(self.conv1(x)).mean((2, 3)))


@pytest.fixture
def net():
    return nw.batch_normalize(Two()).model


def test_options_are_set_on_the_linear_map(net):
    net.conv1.stride = (2, 2)
    assert net.conv1.conv.stride == net.conv1.stride == (2, 2)
    assert net.conv1(torch.randn(2, 3, 9, 9)).shape == (2, 8, 4, 4)


def test_parameters_are_set_on_the_linear_map(net):
    keys = list(net.state_dict())
    weight = nn.Parameter(torch.zeros(8, 3, 3, 3))
    net.conv1.weight = weight
    assert net.conv1.conv.weight is net.conv1.weight is weight
    assert list(net.state_dict()) == keys
    net.conv1.bias = nn.Parameter(torch.ones(8))
    assert torch.equal(net.conv1.conv(torch.zeros(1, 3, 3, 3)), torch.ones(1, 8, 1, 1))
    with pytest.raises(TypeError, match="cannot assign"):
        net.conv1.weight = torch.zeros(8, 3, 3, 3)  # as for the map itself


def test_attributes_are_deleted_from_the_linear_map(net):
    net.conv1.tag = 1
    net.conv1.conv.label = 2
    del net.conv1.tag, net.conv1.label, net.conv1.weight
    assert "weight" not in net.conv1.conv._parameters
    assert not hasattr(net.conv1, "tag")
    assert not hasattr(net.conv1.conv, "label")
    with pytest.raises(AttributeError):
        del net.conv1.nothing_such


def test_what_is_its_own_stays_its_own(net):
    inner = net.conv1.conv
    inner.norm = inner._normalized = None
    net.conv1.training = False
    net.conv1.forward = lambda x: x
    net.conv1.norm = nn.Identity()
    net.conv1.extra = 3
    assert inner.training
    assert "forward" not in vars(inner)
    net.conv1._normalized = "conv"
    assert inner.norm is inner._normalized is None
    assert not hasattr(inner, "extra")
    assert isinstance(net.conv1[1], nn.Identity)
    net.conv1.conv = nn.Conv2d(3, 8, 1)
    assert net.conv1[0].kernel_size == (1, 1)


def test_copies_set_their_own(net):
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        other.conv1.stride = (3, 3)
        assert other.conv1.conv.stride == (3, 3)
    assert net.conv1.conv.stride == (1, 1)
