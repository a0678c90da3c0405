"""Linear maps of a user's own that normalize what they make."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import normwise as nw
from networks.byhand import Net, conv, normalized, reasons
from normwise.errors import SurgeryError

X = torch.randn(4, 4, 5, 5)
OWN = "left alone: it has a normalization of its own (norm)"


class Conv2d(nn.Conv2d):
    """As in detection libraries: a convolution, perhaps with its normalization."""

    def __init__(self, norm=None):
        super().__init__(4, 4, 3, padding=1)
        self.norm = norm

    def forward(self, x):
        x = super().forward(x)
        return x if self.norm is None else self.norm(x)


class FrozenBatchNorm2d(nn.Module):
    def forward(self, x):
        return x * 2


@pytest.mark.parametrize("norm", [nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nw.BatchNorm2d(4), FrozenBatchNorm2d()])
@pytest.mark.parametrize("place", ["before", "after"])
def test_a_map_with_a_normalization_inside_is_left_alone(norm, place):
    net = Net(
        lambda self, x: self.c(self.act(self.b(F.relu_(self.a(x))))), a=Conv2d(norm), b=conv(), c=conv(), act=nn.ReLU()
    )
    assert normalized(net, place=place) == [{"before": "b", "after": "act"}[place]]
    assert reasons(net)["a"] == OWN
    alone = Net(lambda self, x: self.c(F.relu_(self.a(x))), a=Conv2d(norm), c=conv())
    with pytest.raises(SurgeryError, match="places already normalized: 1; a: it has a normalization of its own"):
        nw.batch_normalize(alone, place=place)


def test_the_same_map_without_one_is_normalized():
    assert normalized(Net(lambda self, x: self.b(F.relu_(self.a(x))), a=Conv2d(), b=conv())) == ["a"]


def test_another_map_that_is_added_is_normalized():
    net = Net(lambda self, x: F.relu(self.a(x) + self.b(x)), a=Conv2d(nn.BatchNorm2d(4)), b=conv())
    assert normalized(net) == ["b"]
    assert reasons(net) == {"a": OWN}


@pytest.mark.parametrize("norm", [nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.spectral_norm])
def test_a_normalization_of_the_weight_is_not_one_of_the_output(norm):
    assert normalized(Net(lambda self, x: self.b(F.relu(self.a(x))), a=norm(conv()), b=conv())) == ["a"]
