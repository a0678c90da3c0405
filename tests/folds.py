"""What the tests of folding do with networks, and small ones."""

from __future__ import annotations

import copy

import torch
from torch import nn

import normwise as nw
from zoo import randomize

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}


fold = nw.surgery.fold


image = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def double(network):
    """In float64, in evaluation, with statistics, weights and biases unlike those at the start."""
    return randomize(network).double().eval()


def expected(network, example):
    return copy.deepcopy(network).eval()(example)


def error(got, want):
    return float(((got - want).abs().max() / want.abs().max()).detach())


def folded(surgery):
    """The names of the normalizations that are gone."""
    return [change.name for change in surgery.changes if change.why.startswith("part of")]


def why(surgery, name):
    (change,) = (change for change in surgery.changes if change.name == name)
    return change.why


def check(network, example, gone):
    """Fold; the outputs stay, also on other inputs, and exactly the normalizations in ``gone`` are gone."""
    surgery = fold(network, example=example)
    for x in (example, example * 3 - 1):
        assert error(surgery.model(x), expected(network, x)) <= TOLERANCE[x.dtype]
    assert folded(surgery) == gone
    return surgery


class Calls(nn.Module):
    """A convolution, a normalization and what a test does with them."""

    def __init__(self, forward, norm=None, conv=None):
        super().__init__()
        self.conv, self.norm = conv or nn.Conv2d(3, 3, 1), norm or nn.BatchNorm2d(3)
        self.rule = forward

    def forward(self, x):
        return self.rule(self, x)


def add_one(module, args, y):
    return y + 1


def hooked(network, name):
    network.get_submodule(name).register_forward_hook(add_one)
    return network


def chain(*modules):
    return double(nn.Sequential(*modules))


def conv(*args, **kwargs):
    return nn.Conv2d(3, 3, *(args or (1,)), **kwargs)
