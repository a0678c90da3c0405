"""Networks that cannot be traced: nothing is placed where it might be wrong."""

from __future__ import annotations

import copy
from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import normwise as nw
from networks.byhand import conv, kinds, reasons
from normwise.errors import SurgeryError

X = torch.randn(4, 4, 6, 6)


class Branching(nn.Module):
    """Its forward is a function, after a branch on the values."""

    def __init__(self, forward, **children):
        super().__init__()
        for name, child in children.items():
            setattr(self, name, child)
        self.run = forward

    def forward(self, *inputs):
        if inputs[0].mean() > 100:
            inputs = tuple(x * 0 for x in inputs)
        return self.run(self, *inputs)


def hidden(act=None):
    return nn.Sequential(conv(), nn.ReLU() if act is None else act)


def norms(surgery):
    return [change.name for change in surgery.changes if not change.before]


def neutral(model):
    """The same in evaluation, where a new normalization divides by √(1 + ε) alone."""
    for module in model.modules():
        if isinstance(module, nw.BatchNorm2d):
            module.running_var.fill_(1 - module.eps)
    return model.eval()


@pytest.mark.parametrize("options", [{}, {"example": X}])
def test_a_sequential_that_forward_calls_is_normalized(options):
    net = Branching(lambda self, x: self.fc(self.features(x).mean((2, 3))), features=hidden(), fc=nn.Linear(4, 2))
    surgery = nw.batch_normalize(net, **options)
    assert norms(surgery) == ["features.1.norm"]
    assert not reasons(net, **options).keys() - {""}
    assert ("give an example" in surgery.changes[0].why) == (not options)
    seen = []
    surgery.model.features[1].act.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    surgery.model(X)
    torch.testing.assert_close(seen[0].mean((0, 2, 3)), torch.zeros(4), rtol=0, atol=1e-5)  # float32 means of 144


FORWARDS = {
    "slice": lambda self, x: (self.features[1:](a := self.features[:1](x)), a),
    "index": lambda self, x: (self.features[3](self.features[2](F.relu(a := self.features[0](x)))), a),
    "enumerate": lambda self, x: [x := layer(x) for layer in self.features][::2],
    "last": lambda self, x: self.features[-1](self.features[:-1](x)),
}  # fmt: skip


@pytest.mark.parametrize("options", [{}, {"example": X}])
@pytest.mark.parametrize("name", FORWARDS)
def test_what_forward_takes_out_of_a_sequential_is_what_it_was(name, options):
    net = Branching(FORWARDS[name], features=nn.Sequential(*hidden(), *hidden(), nn.Dropout(0.0)))
    surgery = nw.batch_normalize(net, **options)
    assert "features.3.norm" in norms(surgery)
    torch.testing.assert_close(neutral(surgery.model)(X), net.eval()(X))
    assert all(module.bias is not None for module in surgery.model.modules() if isinstance(module, nn.Conv2d))


def test_the_bias_goes_where_the_network_is_a_sequential():
    branch = Branching(lambda self, x: x)
    model = nw.batch_normalize(nn.Sequential(branch, hidden(), *hidden())).model
    assert kinds(model) == ["Branching", "Sequential", "Conv2d", "BatchNorm2d", "ReLU"]
    assert kinds(model[1]) == ["Conv2d", "BatchNorm2d", "ReLU"]
    assert model[1][0].bias is model[2].bias is None


def test_a_block_in_two_places_of_such_a_network_is_listed():
    block = hidden()
    net = nn.Sequential(Branching(lambda self, x: x), block, block, *hidden())
    surgery = nw.batch_normalize(net)
    assert norms(surgery) == ["4"]
    assert "it is called 2 times" in reasons(net)["1.1"]
    again = Branching(lambda self, x: self.a(self.b(self.c(x))), a=block, b=block, c=hidden())
    assert norms(nw.batch_normalize(again)) == ["c.1.norm"]
    assert "it is in 2 places" in reasons(again)["a.1"]


@pytest.mark.parametrize("kind", [nn.Tanh, nn.Sigmoid, nn.Hardtanh])
def test_the_layer_that_makes_the_output_is_left_alone(kind):
    net = Branching(lambda self, x: self.out(self.body(x)), body=hidden(), out=hidden(kind()))
    for options, name, why in (({}, "out.1", "it may be the last layer"), ({"example": X}, "out.0", "it is the last ")):
        assert norms(nw.batch_normalize(net, **options)) == ["body.1.norm"]
        assert why in reasons(net, **options)[name]
    whole = nn.Sequential(Branching(lambda self, x: x), *hidden(), nn.Sequential(conv(), kind(), nn.Flatten()))
    assert norms(nw.batch_normalize(whole)) == ["2"]
    assert "it is the last layer: " in reasons(whole)["4.1"]


ONWARD = {
    "linear": lambda self, x: self.fc(self.body(x).mean((2, 3))),
    "function": lambda self, x: F.linear(torch.cat([self.body(x)]).flatten(2).mean(2), self.fc.weight),
    "also the output": lambda self, x: [y := self.body(x), self.fc(y.mean((2, 3)))],
    "parametrized": lambda self, x: self.parametrized(self.body(x)),
    "recurrent": lambda self, x: self.lstm(self.body(x).flatten(2))[0],
}


@pytest.mark.parametrize("name", ONWARD)
def test_an_example_shows_that_such_a_layer_is_hidden(name):
    net = Branching(
        ONWARD[name],
        body=hidden(nn.Tanh()),
        fc=nn.Linear(4, 2),
        parametrized=nn.utils.parametrizations.spectral_norm(nn.Conv2d(4, 4, 1, bias=False)),
        lstm=nn.LSTM(36, 3),
    )
    assert norms(nw.batch_normalize(net, example=X)) == ["body.1.norm"]
    with pytest.raises(SurgeryError, match=r"body\.1: it may be the last layer, .*give an example that reaches it"):
        nw.batch_normalize(net)


def test_what_only_changes_the_output_does_not_hide_it():
    net = Branching(
        lambda self, x: (self.out(self.body(x)) * self.std.clone()).flatten(1), body=hidden(), out=hidden(nn.Tanh())
    )
    net.register_buffer("std", torch.ones(4, 1, 1))
    assert norms(nw.batch_normalize(net, example=X)) == ["body.1.norm"]


def test_calls_by_keyword_are_seen():
    net = Branching(
        lambda self, x: self.out(self.act(input=self.norm(input=self.body(x)))),
        body=conv(), norm=nn.BatchNorm2d(4), act=nn.ReLU(), out=hidden(),
    )  # fmt: skip
    assert norms(nw.batch_normalize(net, example=X)) == ["out.1.norm"]


def test_an_example_shows_what_is_called_twice():
    net = Branching(
        lambda self, a, b: self.o(self.last(torch.cat([self.e(a), self.e(b)], 1))),
        e=hidden(), last=nn.Sequential(conv(4, 8), nn.ReLU()), o=conv(),
    )  # fmt: skip
    surgery = nw.batch_normalize(net, example=(X, X + 1))
    assert norms(surgery) == ["last.1.norm"]
    assert "it is called 2 times" in reasons(net, example=(X, X + 1))["e.0"]


class Norm2d(nn.Module):
    def forward(self, x):
        return x / x.std()


@pytest.mark.parametrize("norm", [nn.BatchNorm2d(4), Norm2d()])
@pytest.mark.parametrize("between", [nn.Identity(), nn.Dropout()])
def test_an_example_shows_what_is_normalized(norm, between):
    parts = {"norm": norm, "between": between, "act": nn.Sequential(nn.ReLU()), "other": hidden()}
    before = Branching(lambda self, x: self.other(self.act(self.between(self.norm(x)))), **parts)
    after = Branching(lambda self, x: self.other(self.norm(self.between(self.act(x)))), **parts)
    added = Branching(lambda self, x: self.other(self.act(self.norm(x).add_(x))), **parts)
    whole = nn.Sequential(Branching(lambda self, x: x), norm, between, nn.ReLU(), hidden())
    for net, places in ((before, 1), (after, 1), (added, 2), (whole, 1)):
        assert len(norms(nw.batch_normalize(net, example=X))) == places


def test_an_example_tells_the_calls_of_a_shared_nonlinearity_apart():
    act = nn.ReLU()
    net = nn.Sequential(Branching(lambda self, x: x), conv(), Norm2d(), act, conv(), act, conv())
    assert norms(nw.batch_normalize(net, example=X)) == ["5"]


def test_an_example_of_one_value_is_enough():
    net = Branching(lambda self, x: self.b(self.a(x)), a=nn.Sequential(conv(), nn.BatchNorm2d(4)), b=hidden())
    assert norms(nw.batch_normalize(net, example=X[:1, :, :1, :1])) == ["b.1.norm"]


def test_a_map_with_a_normalization_inside_is_left_alone():
    class Own(nn.Conv2d):
        def __init__(self):
            super().__init__(4, 4, 1)
            self.norm = nn.BatchNorm2d(4)

        def forward(self, x):
            return self.norm(super().forward(x))

    net = Branching(lambda self, x: self.b(self.a(x)), a=nn.Sequential(Own(), nn.ReLU()), b=hidden())
    assert norms(nw.batch_normalize(net)) == ["b.1.norm"]
    assert "it has a normalization of its own (norm)" in reasons(net)["a.0"]


def test_what_the_example_does_not_reach_is_as_without_one():
    def forward(self, x):
        return self.a(x) if x.mean() > 50 else self.b(self.c(x))

    net = Branching(forward, a=hidden(), b=hidden(nn.Tanh()), c=nn.Sequential(OrderedDict(conv=conv(), act=nn.ReLU())))
    assert norms(nw.batch_normalize(net, example=X)) == ["a.1.norm", "c.act.norm"]


def test_nothing_is_left_behind_by_a_look_at_an_example():
    net = Branching(lambda self, x: self.b(self.a(x)), a=nn.Sequential(conv(), nn.BatchNorm2d(4)), b=hidden())
    before, state = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    model = nw.batch_normalize(net, example=X, inplace=True).model
    assert torch.equal(torch.get_rng_state(), state)
    after = model.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    with pytest.raises(SurgeryError, match="does not run on the example"):
        nw.batch_normalize(net, example=torch.zeros(2, 9))
