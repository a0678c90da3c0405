"""Modules that have more to do than to follow a layer are left."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import normwise as nw
from converted import FUNCTIONS, NORMED, OURS, Modules, Residual, Shared, batch, close, made, small, the_same, why
from normwise.surgery import convert
from zoo import randomize


def test_an_activation_that_another_layer_needs_stays():
    net, x = randomize(Shared(lambda: nn.BatchNorm2d(3), nn.ReLU(), nn.Sigmoid())).double(), batch().double()
    surgery = convert(net, "normwise", fuse=True, example=x)
    assert type(surgery.model.modules_[0]) is nn.ReLU
    the_same(surgery, net, x)


def test_a_subclass_of_ours_is_not_fused():
    net = nn.Sequential(type("Mine", (nw.BatchNorm2d,), {})(3), nn.ReLU(), nn.BatchNorm2d(3))
    surgery = convert(net, "normwise", fuse=True)
    assert surgery.model[0].activation is None
    assert "not fused: Mine is a subclass" in why(surgery, "0")


def test_a_sequential_in_a_network_that_cannot_be_traced_is_not_trusted():
    """Its forward may call the children of one by themselves."""
    net, x = made(NORMED["branching"])
    surgery = convert(net, "normwise", fuse=True, example=x)
    assert not any(module.activation for module in surgery.model.modules() if type(module) in OURS)
    whole = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), net.get_submodule("plain"))
    assert convert(whole, "normwise", fuse=True).model[1].activation == "relu"


def test_a_hook_around_a_layer_keeps_it_from_being_fused():
    net, x = nn.Sequential(nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)), nn.ReLU()), torch.randn(4, 3, 5, 5)
    net[0].register_forward_hook(lambda module, given, y: y * 2 + 1)
    surgery = convert(net, "normwise", fuse=True, example=x)
    assert surgery.model[0][1].activation is None
    torch.testing.assert_close(surgery.model(x), net(x))


MODULES = {
    "mask": (lambda net, x: net.sigmoid(net.norm(x, mask=x[:, 0] > 0)), "norm", "called with a mask"),
    "inside": (lambda net, x: net.relu(net.inside.norm(net.inside(x))), "inside.norm", "has it inside"),
    "two": (lambda net, x: net.sigmoid(net.norm(net.relu(net.norm(x)))), "norm", "different activations"),
}


@pytest.mark.parametrize("way", MODULES)
def test_modules_that_do_other_things_elsewhere_are_not_fused(way):
    forward, name, reason = MODULES[way]
    net, x = randomize(Modules(forward)), batch()
    surgery = convert(net, "normwise", fuse=True, example=x)
    assert surgery.model.get_submodule(name).activation is None
    assert any(reason in change.why for change in surgery.changes if change.name == name)
    the_same(surgery, net, x)


def test_an_activation_inside_a_module_that_is_called_whole_stays():
    net, x = randomize(Modules(lambda net, x: net.inside(net.inside.act(net.norm(x))))), batch()
    surgery = convert(net, "normwise", fuse=True, example=x)
    assert type(surgery.model.inside.act) is nn.ReLU
    the_same(surgery, net, x)


class Optional(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.act = nn.BatchNorm2d(3), nn.ReLU()

    def forward(self, x, plain=None):
        y = self.norm(x)
        return self.act(y) if plain is not None else y


def test_optional_arguments_hide_calls():
    surgery = convert(Optional(), "normwise", fuse=True)
    assert surgery.model.norm.activation is None
    assert "the output follows, no activation that can be fused, in one of the ways" in why(surgery, "norm")


class Wrapped(nn.Module):
    """Layers and activations in a network that can be called in several ways."""

    def __init__(self, way):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.ReLU())
        self.more, self.act, self.way = nn.BatchNorm2d(3), nn.ReLU(), way

    def forward(self, x, mask=None, features=False):
        return self.way(self, x, mask, features)


def masked(net, x, mask, features):
    y = net.body(x if mask is None else x * mask)
    return (net.more(y), y) if features else net.act(net.more(y))


def by_length(net, x, mask, features):
    y = net.body(x if mask is None or len(mask) < 2 else x * mask)
    return net.act(net.more(y))


def dropping(net, x, mask, features):
    return F.dropout(net.body(x), 0.5, net.training)


def with_head(net, x, mask, features):
    y = net.body(x)
    return y + net.act(net.more(y)) if net.training else y


@pytest.mark.parametrize(
    ("way", "fused"),
    [(masked, {"body.1"}), (by_length, set()), (dropping, {"body.1"}), (with_head, {"body.1", "more"})],
)
def test_what_follows_in_all_ways_is_fused(way, fused):
    net, x = randomize(Wrapped(way)).double(), batch().double()
    surgery = convert(net, "normwise", fuse=True)
    assert type(surgery.model) is Wrapped
    assert {name for name, each in surgery.model.named_modules() if type(each) in OURS and each.activation} == fused
    the_same(surgery, net, x)
    torch.manual_seed(1)
    want = copy.deepcopy(net)(x, x.sign(), True)
    torch.manual_seed(1)
    torch.testing.assert_close(surgery.model(x, mask=x.sign(), features=True), want)


def test_an_argument_that_cannot_be_followed_can_be_given():
    net, x = randomize(Wrapped(by_length)).double(), batch().double()
    assert "depend on mask=; give it in an example" in why(convert(net, "normwise", fuse=True), "more")
    surgery = convert(net, "normwise", fuse=True, example=(x, None))
    assert surgery.model.more.activation == "relu"
    the_same(surgery, net, x)


def asks_class(net, x):
    return torch.relu(net.norm(x * 2 if isinstance(x, torch.Tensor) else x))


def asks_gradients(net, x):
    y = torch.relu(net.norm(x))
    return y * 2 if torch.is_grad_enabled() else y


def asks_parts(net, x):
    try:
        x, _ = x
    except ValueError:
        x = -x
    return torch.relu(net.norm(x))


def loops(net, x):
    return torch.relu(net.norm(torch.stack(list(x.unbind()))))


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        (asks_class, "asks for the class of x"),
        (asks_gradients, "gradients"),
        (asks_parts, "asks for the parts of x"),
        (loops, "asks for the parts of unbind"),
    ],
)
def test_what_forward_asks_unseen_is_not_frozen(way, reason):
    net, x = randomize(Modules(way)).double(), batch().double()
    surgery = convert(net, "normwise", fuse=True)
    assert type(surgery.model) is Modules
    assert any(reason in change.why for change in surgery.changes if change.name == "norm")
    for gradients in (True, False):
        with torch.set_grad_enabled(gradients):
            torch.testing.assert_close(surgery.model(x), copy.deepcopy(net)(x))


class OneMode(nn.Module):
    """The activation follows in training only."""

    def __init__(self):
        super().__init__()
        self.norm, self.act = nn.BatchNorm2d(3), nn.ReLU()

    def forward(self, x):
        return self.act(self.norm(x)) if self.training else self.norm(x)


def test_both_modes_count():
    surgery = convert(OneMode(), "normwise", fuse=True)
    assert surgery.model.norm.activation is None


def test_hooks_keep_what_they_see():
    for index in (1, 2):
        net = small()
        seen = []
        net[index].register_forward_hook(lambda module, args, y, seen=seen: seen.append(y.clone()))
        surgery = convert(net, "normwise", fuse=True)
        assert "not fused" in why(surgery, "1")
        x = batch()
        net(x), surgery.model(x)
        close(seen[1], seen[0], 1e-5)


def test_skipped_activations_stay():
    net = small()
    surgery = convert(net, "normwise", fuse=True, skip=["2"])
    assert type(surgery.model[2]) is nn.ReLU
    assert why(surgery, "1").endswith("not fused: 2 (ReLU) is skipped")


@pytest.mark.parametrize("net", [Residual(FUNCTIONS["relu"]), nn.Sequential(nn.BatchNorm2d(3), nn.ReLU())])
def test_a_forward_of_the_instance_is_not_guessed(net):
    """Mixed-precision wrappers put one there."""
    net = randomize(copy.deepcopy(net))
    given = net.forward
    net.forward = lambda x: net[0](x) if isinstance(net, nn.Sequential) else given(x).neg()
    surgery = convert(net, "normwise", fuse=True)
    norm = next(module for module in surgery.model.modules() if type(module) in OURS)
    assert norm.activation is None
    assert any("not that of its class" in change.why for change in surgery.changes)


def test_what_is_computed_may_be_unpacked():
    def flat(net, x):
        n, c, _, w = x.shape
        return torch.relu(net.norm(x)).reshape(n, c * w, -1)

    net, x = randomize(Modules(flat)).double(), batch().double()
    surgery = convert(net, "normwise", fuse=True)
    assert surgery.model.norm.activation == "relu"
    the_same(surgery, net, x)


def test_what_needs_no_paths_is_not_traced(monkeypatch):
    def trace(*args, **options):
        raise AssertionError

    monkeypatch.setattr("normwise.surgery.optional.trace", trace)
    assert type(convert(small(), "normwise").model[1]) is nw.BatchNorm2d
    with pytest.raises(AssertionError):
        convert(small(), "normwise", fuse=True)
