"""What follows a layer and is left, with the reason."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import normwise as nw
from converted import Modules, Odd, batch, why
from normwise.surgery import convert


def used_twice(net, x):
    y = net.norm(x)
    return net.act(y) + y


def into_another(net, x):
    z = x * 2
    z += net.norm(x)
    return F.relu(z)


def in_place_between(net, x):
    y = x * 2
    z = net.norm(y)
    return torch.relu(z + y.neg_())


def dependent(net, x):
    return F.dropout(F.relu(net.norm(x)), 0.5, net.training)


ODD = {
    "used twice": (used_twice, "2 calls take its output"),
    "used twice by one call": (lambda net, x: (y := net.norm(x)) * y, "takes its output twice"),
    "not in the table": (lambda net, x: F.softplus(net.norm(x)), "softplus() follows, no activation"),
    "added in place": (into_another, "added in place to something else"),
    "a number": (lambda net, x: F.relu(net.norm(x) + 1), "what is added is a number"),
    "broadcast": (lambda net, x: F.relu(net.norm(x) + x.mean((2, 3), keepdim=True)), "another shape"),
    "another type": (lambda net, x: F.relu(net.norm(x) + x.double()), "another shape or type"),
    "alpha": (lambda net, x: F.relu(torch.add(net.norm(x), x, alpha=2)), "add() follows, no activation"),
    "changed in between": (in_place_between, "the layer's input is changed in place before that"),
    "another activation": (lambda net, x: F.relu(net.norm(torch.tanh(net.norm(x)))), "different activations"),
    "mode": (dependent, "its forward depends on self.training"),
    "the output": (lambda net, x: net.norm(x), "the output follows"),
}


@pytest.mark.parametrize("way", ODD)
def test_what_cannot_be_fused_is_converted_and_says_why(way):
    net, x = Odd(ODD[way][0]), batch()
    surgery = convert(net, "normwise", fuse=True, example=x)
    assert type(surgery.model) is Odd
    assert type(surgery.model.norm) is nw.BatchNorm2d
    assert surgery.model.norm.activation is None
    assert ODD[way][1] in why(surgery, "norm").partition("not fused: ")[2]


def test_a_layer_that_has_a_residual_takes_no_second_one():
    net, x = Modules(lambda net, x: torch.relu(net.norm(x, residual=x) + x)), batch()
    surgery = convert(nn.Sequential(net, nn.BatchNorm2d(3)), "normwise", fuse=True, example=x)
    assert "two are added to it" in why(surgery, "0.norm")
