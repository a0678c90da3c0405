from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import normwise as nw
from normwise.surgery.graph import trace


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.inner = nn.Conv1d(2, 2, 1), nw.BatchNorm1d(2), nn.Sequential(nn.Tanh())

    def forward(self, x):
        return self.inner(F.relu(self.norm(self.conv(self.conv(x)), residual=x)))


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Scaled(nn.Linear):
    """A linear map with a forward of its own, which stays one call."""

    def forward(self, x):
        return super().forward(x) * 2


def targets(flow):
    return [str(node.target) for node in flow.graph.nodes if node.op == "call_module"]


def test_each_call_of_a_module_or_function_is_a_node():
    flow = trace(Functional())
    assert targets(flow) == ["conv", "conv", "norm", "inner.0"]
    assert [node.target for node in flow.graph.nodes if node.op == "call_function"] == [F.relu]
    assert len(flow.calls("conv")) == 2
    assert flow.calls("norm")[0].kwargs.keys() == {"residual"}
    assert not flow.problem


@pytest.mark.parametrize("module", [Scaled(2, 2), nw.freeze(nw.BatchNorm1d(2)).model, nw.BatchNorm1d(2), nn.LSTM(2, 2)])
def test_what_surgery_knows_is_not_looked_into(module):
    assert targets(trace(nn.Sequential(module))) == ["0"]


def test_a_network_that_cannot_be_traced_says_why():
    flow = trace(Branching())
    assert flow.graph is None
    assert flow.problem.startswith("torch.fx cannot trace it: symbolically traced variables cannot be used as inputs")
    assert flow.calls("") == []


@pytest.mark.parametrize("network", [Functional(), Branching()])
def test_the_network_is_left_as_it_is(network):
    before, state = repr(network), torch.get_rng_state()
    trace(network)
    assert repr(network) == before
    assert torch.equal(torch.get_rng_state(), state)


class Logging(nn.Module):
    """A forward that leaves something behind."""

    def __init__(self):
        super().__init__()
        self.norm, self.log, self.last, self.calls = nn.BatchNorm1d(2), [], None, 0

    def forward(self, x):
        self.last = self.norm(x)
        self.log.append(self.last)
        self.calls += 1
        return self.last


def test_what_forward_leaves_behind_is_left_in_a_copy():
    net = nn.Sequential(Logging(), nn.ReLU())
    net.register_forward_pre_hook(lambda module, given: net[0].log.append("hook"))
    assert trace(net).graph is not None
    assert (net[0].last, net[0].log, net[0].calls) == (None, [], 0)
    net(torch.randn(4, 2))
    assert trace(net).graph is not None  # with a tensor that autograd made among its attributes
    assert net[0].calls == 1


def test_buffers_are_values_that_may_change():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("scale", torch.ones(2))

        def forward(self, x):
            return x * (self.scale * 2)

    flow = trace(Scaled())
    assert [node.target for node in flow.graph.nodes if node.op == "get_attr"] == ["scale"]
    assert not flow.constants


class Asking(nn.Module):
    def __init__(self, rule):
        super().__init__()
        self.rule = rule

    def forward(self, x, how=None):
        return x if self.rule(how) else -x


def caught(rule):
    try:
        return rule()
    except Exception:
        return False


ASKED = {
    "class": lambda how: isinstance(how, str),
    "a class that answers in its own way": lambda how: isinstance(how, nn.Parameter),
    "an abstract class": lambda how: isinstance(how, Mapping),
    "tensor": torch.is_tensor,
    "in a table": lambda how: {"all": True}.get(how),
    "in a set": lambda how: how in {"all"},
    "a number": lambda how: caught(lambda: int(how)),
    "a truth": lambda how: caught(lambda: bool(how)),
    "parts": lambda how: caught(lambda: "all" in how),
    "its length": lambda how: caught(lambda: len(how)),
    "what it consists of": lambda how: caught(lambda: list(how)),
    "text": lambda how: getattr(torch, f"no_{how}", None),
    "class of an attribute": lambda how: isinstance(how.mode, str),
    "class of a sum": lambda how: isinstance(how + 1, int),
}


@pytest.mark.parametrize("case", ASKED)
def test_an_argument_of_which_nothing_is_known_has_no_class_and_is_in_no_table(case):
    assert trace(Asking(ASKED[case])).graph is not None
    flow = trace(Asking(ASKED[case]), unasked={"how"})
    assert flow.graph is None
    assert "its forward" in flow.problem


def test_an_argument_of_which_nothing_is_known_can_be_used():
    network = Asking(lambda how: how is None)
    assert trace(network, unasked={"x", "how"}).graph is not None
    assert trace(Functional(), unasked={"x"}).graph is not None
