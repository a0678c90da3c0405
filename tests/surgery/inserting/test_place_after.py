"""Normalizations after the nonlinearity."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import normwise as nw
from networks.byhand import Net, conv, normalized, reasons
from normwise.errors import SurgeryError


@pytest.mark.parametrize("example", [None, torch.zeros(2, 4, 6, 6)])
def test_after_the_nonlinearity(example):
    net = Net(lambda self, x: self.b(self.act(self.a(x))), a=conv(), b=conv(), act=nn.ReLU())
    surgery = nw.batch_normalize(net, place="after", example=example)
    assert [(name, type(child).__name__) for name, child in surgery.model.act.named_children()] == [
        ("act", "ReLU"), ("norm", "BatchNorm2d"),
    ]  # fmt: skip
    assert surgery.model.a.bias is not None
    assert surgery.renamed == {"act": "act.act"}


def test_after_what_is_a_function_or_called_twice_is_listed():
    def forward(self, x):
        return self.d(self.once(self.c(self.act(self.b(F.relu(self.act(self.a(x))))))))

    net = Net(forward, a=conv(), b=conv(), c=conv(), d=conv(), act=nn.ReLU(), once=nn.ReLU())
    assert reasons(net, place="after") == {
        "act": "left alone: it is called 2 times, and one normalization would mix the statistics of 2 places",
    }
    assert normalized(net, place="after") == ["once"]
    net = Net(lambda self, x: self.b(F.relu(self.a(x))), a=conv(), b=conv())
    with pytest.raises(SurgeryError, match="called as a function, so there is no module to put a normalization after"):
        nw.batch_normalize(net, place="after")


def test_each_reason_is_given_once():
    block = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    net = nn.Sequential(block, block, nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    assert len(nw.batch_normalize(net, place="after").left_alone) == 1


def test_after_a_concatenation_the_features_are_the_example_s():
    net = Net(lambda self, x: self.b(self.act(torch.cat([x, self.a(x)], 1))), a=conv(), b=conv(given=8), act=nn.ReLU())
    with pytest.raises(SurgeryError, match=r"number of features at act .* is unknown.*give example="):
        nw.batch_normalize(net, place="after")
    model = nw.batch_normalize(net, place="after", example=torch.zeros(2, 4, 5, 5)).model
    assert model.act.norm.num_features == 8


def test_after_moved_axes_it_is_not_known_which_has_the_features():
    def forward(self, x):
        return self.b(self.act(self.a(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2))

    net = Net(forward, a=conv(), b=conv(), act=nn.ReLU())
    with pytest.raises(SurgeryError, match="not known which axis has its features"):
        nw.batch_normalize(net, place="after", example=torch.zeros(2, 4, 4, 4))
    assert normalized(net) == ["a"]
