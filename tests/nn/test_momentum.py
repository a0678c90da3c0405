"""Momentum: which way round, compiled, scheduled. pytorch#194504, pytorch#15298, deeplab-pytorch#79."""

from __future__ import annotations

import copy
import operator
import pickle
import warnings

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend

import normwise as nw
from normwise.errors import InvalidArgumentError, MomentumWarning
from normwise.nn import options


@pytest.fixture
def unwarned(monkeypatch):
    """A process that has not been warned yet."""
    monkeypatch.setattr(options._Once, "warned", False)


def none_compiles(make):
    compiled, twin = make(3, momentum=None), make(3, momentum=None)
    run = torch.compile(compiled, fullgraph=True, backend="aot_eager")
    for x in torch.randn(3, 5, 3):
        run(x), twin(x)
    torch.testing.assert_close(compiled.state_dict(), twin.state_dict())


def test_none_compiles_into_one_graph():
    none_compiles(nw.BatchNorm1d)


@pytest.mark.xfail(strict=True, reason="torch waits for the counter's value")
def test_none_with_torchs_layer():
    none_compiles(nn.BatchNorm1d)


def scheduled(make, steps=12):
    """How often a compiled network is compiled in training with another momentum at each step."""
    net = nn.Sequential(nn.Linear(3, 4), make(4))
    twin, counter = copy.deepcopy(net), CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(net, fullgraph=True, backend=counter)
    counts = []
    for k, x in enumerate(torch.randn(steps, 5, 3)):
        net[1].momentum = twin[1].momentum = 0.5 / (k + 1)
        compiled(x), twin(x)
        counts.append(counter.frame_count)
    torch.testing.assert_close(net.state_dict(), twin.state_dict())
    return counts


def test_a_schedule_does_not_recompile():
    counts = scheduled(nw.BatchNorm1d)
    assert counts == counts[:1] * 12


@pytest.mark.xfail(strict=True, reason="torch compiles anew for each value, up to a limit that is an error")
def test_a_schedule_with_torchs_layer():
    counts = scheduled(nn.BatchNorm1d)
    assert counts == counts[:1] * 12


def test_what_is_compiled_takes_the_momentum_as_a_factor_only():
    """Anything else, such as a copy to another device, would make that wait for the CPU."""
    graphs = []
    layer = torch.compile(nw.BatchNorm1d(3), backend=lambda graph, _: graphs.append(graph) or graph)
    layer(torch.randn(9, 3))
    (momentum,) = (n for g in graphs for n in g.graph.find_nodes(op="placeholder") if "momentum" in n.name)
    assert {user.target for user in momentum.users} == {operator.mul}


def test_the_equation():
    layer = nw.BatchNorm1d(1, momentum=0.25)
    layer(torch.tensor([[1.0], [3.0]]))
    assert layer.running_mean.item() == 0.5  # 0.75·0 + 0.25·2
    assert layer.running_var.item() == 1.25  # 0.75·1 + 0.25·2


@pytest.mark.parametrize("momentum", [0.9, 0.99, 1.0])
def test_what_looks_like_the_other_convention_warns_once(momentum, unwarned):
    with pytest.warns(MomentumWarning) as caught:
        nw.BatchNorm2d(3, momentum=momentum)
    text = str(caught[0].message)
    assert f"momentum={momentum}" in text
    assert "running ← (1 − momentum)·running + momentum·batch" in text
    assert f"momentum={1 - momentum:.4g} here" in text
    assert 'warnings.simplefilter("ignore", normwise.errors.MomentumWarning)' in text
    assert caught[0].filename == __file__
    with warnings.catch_warnings(record=True) as again:
        warnings.simplefilter("always")
        nw.BatchNorm1d(3, momentum=momentum)
    assert not again


def test_it_can_be_silenced_and_smaller_ones_do_not_warn(unwarned):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MomentumWarning)
        nw.BatchNorm1d(3, momentum=0.99)
    options._Once.warned = False
    for momentum in (None, 0.0, 0.1, 0.89):
        nw.BatchNorm1d(3, momentum=momentum)
    nw.BatchNorm1d(3).momentum = 1.0  # as those do who average statistics


@pytest.mark.parametrize("momentum", [-0.1, 1.5, float("nan"), float("inf"), "large"])
def test_no_weight_is_an_error_in_construction_and_later(momentum):
    with pytest.raises(InvalidArgumentError, match="momentum must be between 0 and 1 or None, got"):
        nw.BatchNorm1d(3, momentum=momentum)
    layer = nw.BatchNorm1d(3, momentum=0.25)
    with pytest.raises(InvalidArgumentError, match="weight of the newest batch"):
        layer.momentum = momentum
    assert layer.momentum == 0.25


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_keep_it(clone):
    layer = clone(nw.BatchNorm1d(3, momentum=0.25))
    assert layer.momentum == 0.25
    assert "momentum=0.25" in repr(layer)
    layer.momentum = None
    assert "momentum=None" in repr(layer)
    layer(torch.randn(4, 3))
    layer.momentum = 0.5
    assert layer.momentum == 0.5


def test_a_schedule_that_starts_or_ends_with_none_compiles():
    layer = nw.BatchNorm1d(3)
    compiled, twin = torch.compile(layer, fullgraph=True, backend="aot_eager"), copy.deepcopy(layer)
    for momentum in (0.5, None, 0.25):
        layer.momentum = twin.momentum = momentum
        x = torch.randn(4, 3)
        compiled(x), twin(x)
    torch.testing.assert_close(layer.state_dict(), twin.state_dict())
