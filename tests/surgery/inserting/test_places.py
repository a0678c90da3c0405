"""Which places are found in networks written by hand."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import normwise as nw
from networks.byhand import Net, conv, kinds, normalized, reasons
from normwise.errors import InvalidArgumentError, SurgeryError

NORMS = (nn.modules.batchnorm._BatchNorm,)


NONLINEAR = {
    "F.relu": F.relu,
    "torch.relu": torch.relu,
    "x.relu": lambda x: x.relu(),
    "in place": lambda x: x.relu_(),
    "F.relu in place": lambda x: F.relu(x, inplace=True),
    "torch.relu_": torch.relu_,
    "sigmoid": torch.sigmoid,
    "x.tanh": lambda x: x.tanh(),
    "F.gelu": F.gelu,
    "F.silu": F.silu,
    "F.leaky_relu": lambda x: F.leaky_relu(x, 0.1),
    "F.elu": F.elu,
    "hardswish by hand": lambda x: x * F.relu6(x + 3) / 6,
    "clamp": lambda x: x.clamp(min=0),
    "softplus": F.softplus,
}


@pytest.mark.parametrize("name", NONLINEAR)
def test_functional_nonlinearities(name):
    net = Net(lambda self, x: self.b(NONLINEAR[name](self.a(x))), a=conv(), b=conv())
    assert normalized(net) == ["a"]


BETWEEN = {
    "residual": lambda net, y, x: y + x,
    "residual in place": lambda net, y, x: y.add_(x),
    "cat": lambda net, y, x: torch.cat([x, y], 1)[:, :4],
    "dropout": lambda net, y, x: F.dropout(y, 0.1, net.training),
    "pooling": lambda net, y, x: F.max_pool2d(y, 2),
    "reshape": lambda net, y, x: y.flatten(2).reshape(x.shape),
    "permute": lambda net, y, x: y.permute(0, 2, 3, 1).transpose(1, 3),
    "scalars": lambda net, y, x: -(y * 2 - 1) / 3,
    "gate": lambda net, y, x: y * torch.sigmoid(x),
}


@pytest.mark.parametrize("name", BETWEEN)
def test_ways_to_a_nonlinearity(name):
    net = Net(lambda self, x: self.b(F.relu(BETWEEN[name](self, self.a(x), x))), a=conv(), b=conv())
    surgery = nw.batch_normalize(net, example=torch.zeros(2, 4, 6, 6))
    assert [change.name for change in surgery.changes if not change.before] == ["a.norm"]
    assert surgery.model.a.conv.bias is None
    surgery.model(torch.randn(2, 4, 6, 6))


@pytest.mark.parametrize(
    "forward",
    [
        lambda net, x: net.b(net.a(x)),
        lambda net, x: net.a(x) + net.b(x),
        lambda net, x: net.b(x).softmax(1) + net.a(x),
        lambda net, x: torch.sigmoid(net.a(x) + net.b(x)),
        lambda net, x: net.b(F.layer_norm(net.a(x), [4])).argmax(1),
        lambda net, x: F.relu(F.batch_norm(net.b(net.a(x)), None, None, training=True)),
    ],
)
def test_no_place(forward):
    with pytest.raises(SurgeryError, match="nothing to insert"):
        nw.batch_normalize(Net(forward, a=nn.Linear(4, 4), b=nn.Linear(4, 4)))


def test_one_way_without_normalization_is_enough():
    net = Net(
        lambda self, x: self.b(F.relu(self.norm(y := self.a(x))) + F.relu(y)),
        a=conv(),
        b=conv(),
        norm=nw.BatchNorm2d(4),
    )
    assert normalized(net) == ["a"]


class Scale2d(nn.Module):
    def forward(self, x):
        return x / x.std()


ChannelNorm2d = type("ChannelNorm2d", (Scale2d,), {})


@pytest.mark.parametrize(("layer", "placed"), [(Scale2d(), ["a", "b"]), (ChannelNorm2d(), ["b"])])
def test_a_user_s_own_normalization_is_known_by_its_name(layer, placed):
    net = Net(lambda self, x: self.c(F.relu(self.b(F.relu(self.own(self.a(x)))))), a=conv(), b=conv(), c=conv())
    net.own = layer
    assert normalized(net) == placed


def test_a_map_called_twice_is_listed():
    net = Net(lambda self, x: self.b(F.relu(self.a(F.relu(self.a(x))))), a=conv(), b=conv())
    with pytest.raises(SurgeryError, match="a: it is called 2 times, and one normalization would mix"):
        nw.batch_normalize(net)
    net = Net(lambda self, x: self.b(F.relu(self.a(F.relu(self.c(self.a(x)))))), a=conv(), b=conv(), c=conv())
    assert reasons(net).keys() == {"a"}
    assert normalized(net) == ["c"]


def test_a_shared_block_is_listed():
    block = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    net = nn.Sequential(block, block, nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    surgery = nw.batch_normalize(net)
    assert [change.name for change in surgery.left_alone] == ["0.0"]
    assert surgery.model[0] is surgery.model[1]
    assert len(surgery.model[0]) == 2
    assert isinstance(surgery.model[3], NORMS)


def test_weights_that_forward_reads_are_tied():
    net = Net(lambda self, x: F.linear(F.relu(self.a(x)), self.a.weight.t()), a=nn.Linear(4, 8))
    with pytest.raises(SurgeryError, match="a: forward reads its parameters itself"):
        nw.batch_normalize(net)


def test_functional_linear_maps_are_listed():
    net = Net(lambda self, x: self.b(F.relu(F.linear(F.relu(self.a(x)), self.w))), a=nn.Linear(4, 4), b=nn.Linear(4, 4))
    net.w = nn.Parameter(torch.zeros(4, 4))
    assert reasons(net) == {"": "left alone: it is called as a function, so there is no module to normalize after"}
    assert "linear()" in str(nw.batch_normalize(net))


def test_what_forward_does_not_call_is_listed():
    net = Net(lambda self, x: self.b(F.relu(self.a(x))), a=conv(), b=conv(), aux=nn.Sequential(conv(), nn.ReLU()))
    assert reasons(net) == {"aux.0": "left alone: forward does not call it"}


def test_heads_that_only_training_calls_are_found():
    def forward(self, x):
        x = F.relu(self.a(x))
        return (self.b(x), self.d(F.relu(self.c(x)))) if self.training else self.b(x)

    net = Net(forward, a=conv(), b=conv(), c=conv(), d=conv()).eval()
    assert normalized(net) == ["a", "c"]
    assert normalized(net, example=torch.zeros(2, 4, 5, 5)) == ["a", "c"]


def test_a_sequential_that_forward_indexes_keeps_its_numbers():
    layers = nn.Sequential(conv(), nn.ReLU(), conv(), nn.ReLU(), conv())

    def forward(self, x):
        for index in range(5):
            x = self.layers[index](x)
        return x

    surgery = nw.batch_normalize(Net(forward, layers=layers))
    assert len(surgery.model.layers) == 5
    assert kinds(surgery.model.layers) == ["Normalized", "ReLU", "Normalized", "ReLU", "Conv2d"]
    assert surgery.model(torch.randn(2, 4, 5, 5)).shape == (2, 4, 5, 5)
    partly = Net(lambda self, x: self.layers[4](F.relu(self.layers[0](self.layers(x)))), layers=layers)
    assert kinds(nw.batch_normalize(partly).model.layers)[2] == "Normalized"
    assert len(nw.batch_normalize(partly).model.layers) == 5


def test_the_map_still_answers_for_its_attributes():
    net = Net(
        lambda self, x: self.c(F.relu(self.b(F.relu(self.a(x)).view(-1, self.b.in_features)))),
        a=nn.Linear(4, 6), b=nn.Linear(6, 6), c=nn.Linear(6, 2),
    )  # fmt: skip
    model = nw.batch_normalize(net).model
    assert (model.b.in_features, model.b.bias) == (6, None)
    assert model.b.weight is model.b.linear.weight
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = model.b.nothing_such
    assert model(torch.randn(5, 4)).shape == (5, 2)


def test_hooks_run_after_and_not_during():
    calls = []
    net = Net(lambda self, x: self.b(self.act(self.a(x))), a=conv(), b=conv(), act=nn.Sequential(nn.ReLU()))
    for name in ("a", "act", "b"):
        getattr(net, name).register_forward_hook(lambda *_: calls.append("ran"))
    model = nw.batch_normalize(net).model
    assert calls == []
    model(torch.randn(2, 4, 5, 5))
    assert calls == ["ran"] * 3


def test_tracing_leaves_the_generators_and_buffers_alone():
    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x):
            self.calls += 1
            return x + torch.randn(1)

    net = nn.Sequential(Counts(), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    state = torch.get_rng_state()
    nw.batch_normalize(net, inplace=True)
    assert torch.equal(torch.get_rng_state(), state)
    assert net[0].calls == 0


def test_a_shared_map_in_two_slots_stays_shared():
    shared = conv()
    net = Net(lambda self, x: self.b(F.relu(self.layers[0](x))), layers=nn.ModuleList([shared]), alias=shared, b=conv())
    surgery = nw.batch_normalize(net)
    assert surgery.model.layers[0] is surgery.model.alias
    assert surgery.renamed == {"layers.0": "layers.0.conv", "alias": "alias.conv"}


def test_new_layers_take_the_mode_of_the_map_they_follow():
    net = Net(lambda self, x: self.b(F.relu(self.a(x))), a=conv().eval(), b=conv())
    model = nw.batch_normalize(net).model
    assert not any(module.training for module in model.a.modules())
    assert model.training


@pytest.mark.parametrize("skip", [["a"], lambda name, _: name == "act", ["act"]])
def test_skip(skip):
    net = Net(lambda self, x: self.c(F.relu(self.b(self.act(self.a(x))))), a=conv(), b=conv(), c=conv(), act=nn.ReLU())
    assert normalized(net, skip=skip) == ["b"]


def test_a_named_sequential_without_the_nonlinearity():
    net = Net(lambda self, x: self.b(F.relu(self.body(x))), b=conv(), body=nn.Sequential(OrderedDict(first=conv())))
    model = nw.batch_normalize(net).model
    assert list(model.body._modules) == ["first", "first_norm"]


def test_an_example_without_a_batch_is_not_trusted():
    net = Net(lambda self, x: self.b(F.relu(self.a(x))), a=conv(), b=conv())
    with pytest.raises(SurgeryError, match="give a batch of several inputs"):
        nw.batch_normalize(net, example=torch.zeros(4, 6, 6))


@pytest.mark.parametrize(
    "wrap", [torch.compile, lambda net: torch.jit.trace(net, torch.zeros(2, 3), check_trace=False)]
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_and_scripted_networks_are_refused(wrap):
    net = wrap(nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3)))
    with pytest.raises(SurgeryError, match="cannot normalize the network: it is compiled or scripted"):
        nw.batch_normalize(net)
    with pytest.raises(SurgeryError, match="cannot normalize 0: it is compiled or scripted"):
        nw.batch_normalize(nn.Sequential(net, nn.ReLU()))


def test_no_decay_without_an_optimizer():
    with pytest.raises(InvalidArgumentError, match="give optimizer= too"):
        nw.batch_normalize(nn.Sequential(nn.Linear(3, 3), nn.ReLU()), no_decay=True)
