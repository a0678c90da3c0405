"""Networks that torch.fx cannot trace are followed on the example, as those that it can."""

from __future__ import annotations

from collections import UserDict
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence
from torch.utils import _pytree as pytree

import normwise as nw
from networks.byhand import Net, normalized, reasons
from networks.inputs import CALLED, MASK, TOKENS, OnValues, PackedLSTM, X
from normwise.errors import SurgeryError
from normwise.nn.kinds import is_linear_map
from normwise.surgery import graph
from normwise.surgery.change import original_names
from normwise.surgery.example import arguments
from normwise.surgery.inserting import places
from normwise.surgery.inserting.traced import Traced
from zoo import ZOO


def found(network, side, example):
    survey = places.survey(Traced(network, is_linear_map, example), side, is_linear_map)
    return {(place.linear or place.name, place.problem) for place in survey.places}, survey.normalized


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("entry", [entry for entry in ZOO.values() if entry.traceable], ids=str)
def test_an_example_shows_what_a_trace_does(entry, side, monkeypatch):
    network, example = entry.make(), entry.example()
    traced = found(network, side, example)
    monkeypatch.setattr(graph, "trace", lambda *_, **__: graph.Flow(None, "not traced"))
    assert found(network, side, example) == traced


@pytest.mark.parametrize(("make", "example", "beside"), CALLED, ids=lambda each: getattr(each, "__name__", ""))
def test_it_goes_after_the_right_linear_maps_and_the_network_works(make, example, beside):
    torch.manual_seed(0)
    surgery = nw.batch_normalize(make(), example=example)
    model, (args, kwargs) = surgery.model, arguments(example)
    norms = [change.name for change in surgery.changes if not change.before]
    original = original_names(surgery)
    pairs = [name.removesuffix("norm") for name in norms]
    assert sorted(old for new, old in original.items() if new.rpartition(".")[0] + "." in pairs) == beside
    sum(value.float().square().mean() for value in pytree.tree_leaves(model(*args, **kwargs))).backward()
    assert all(model.get_submodule(name).weight.grad is not None for name in norms)
    again = nw.batch_normalize(make(), example=example).model.eval()
    again.load_state_dict(model.state_dict())
    output = pytree.tree_leaves(model.eval()(*args, **kwargs))
    assert all(map(torch.equal, output, pytree.tree_leaves(again(*args, **kwargs))))
    folded = pytree.tree_leaves(nw.fold(model, example=example).model(*args, **kwargs))
    torch.testing.assert_close(folded, output, rtol=1e-4, atol=1e-5)  # float32, another order of the same sums


def test_says_how_it_was_followed_and_what_the_example_does_not_reach():
    example = ({"x": X[:, 0]},)
    why = reasons(OnValues(), example=example)
    assert why[""].startswith("followed as it runs on the example, because torch.fx cannot trace it: ")
    assert why["large"] == "left alone: the example does not reach it"
    assert why["out"] == "left alone: it is the last layer: sigmoid makes the network's output"
    after = nw.batch_normalize(OnValues(), example=example, place="after")
    assert [change.name for change in after.changes if not change.before] == ["act.norm"]


def test_a_function_that_changes_its_argument_is_followed():
    def forward(self, x):
        x = self.a(x)
        x[x.isnan()] = 0
        return self.b(x.mul_(2).relu_()) if x.shape[0] > 1 else x

    net = Net(forward, a=nn.Linear(4, 4), b=nn.Linear(4, 4))
    assert normalized(net, example=torch.randn(3, 4)) == ["a"]


def test_a_trace_that_goes_another_way_than_the_example_is_not_believed():
    def forward(self, x):
        return self.out(F.relu(self.a(x) if isinstance(x, torch.Tensor) else self.b(x)))

    net = Net(forward, a=nn.Linear(4, 4), b=nn.Linear(4, 4), out=nn.Linear(4, 2))
    assert normalized(net) == ["b"]
    assert normalized(net, example=torch.randn(3, 4)) == ["a"]
    assert "follows other calls than the example makes" in reasons(net, example=torch.randn(3, 4))[""]


def test_what_runs_in_training_alone_is_followed():
    def forward(self, x):
        x = F.relu(self.a(x))
        return (self.out(x), self.out(F.relu(self.aux(x)))) if self.training else self.out(x)

    net = Net(forward, a=nn.Linear(4, 4), aux=nn.Linear(4, 4), out=nn.Linear(4, 2))
    assert normalized(net, example=torch.randn(3, 4)) == ["a", "aux"]


@dataclass
class Outputs:
    """As libraries of transformers return them."""

    y: torch.Tensor


@pytest.mark.parametrize("wrap", [Outputs, lambda y: UserDict(y=y), lambda y: PackedSequence(y, torch.tensor([3]))])
def test_what_makes_the_output_is_known_in_every_structure(wrap):
    def forward(self, x):
        return wrap(torch.sigmoid(self.b(F.relu(self.a(x[x.isfinite().all(1)]))))) if x.sum() < 1e9 else None

    net = Net(forward, a=nn.LazyLinear(4), b=nn.Linear(4, 2))
    assert normalized(net, example=torch.randn(3, 4)) == ["a"]
    assert "it is the last layer: sigmoid" in reasons(net, example=torch.randn(3, 4))["b"]


def test_what_it_is_not_given_right_is_said_in_one_line():
    message = _refused(PackedLSTM(), {"tokens": TOKENS})
    assert message.endswith("missing 1 required positional argument: 'mask'; give an input as the network takes it")
    message = _refused(PackedLSTM(), {"tokens": TOKENS.float(), "mask": MASK})
    assert message.startswith("the network does not run on the example of shape tokens=(6, 5), mask=(6, 5): Runtime")
    assert "\n" not in message
    assert ": KeyError: 'x'; " in _refused(OnValues(), ({"y": X},))


def _refused(net, example):
    with pytest.raises(SurgeryError) as caught:
        nw.batch_normalize(net, example=example)
    return str(caught.value)
