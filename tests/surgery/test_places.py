"""Which places are found in networks written by hand."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import normwise as nw
from normwise.errors import InvalidArgumentError, SurgeryError

NORMS = (nn.modules.batchnorm._BatchNorm,)


class Net(nn.Module):
    """Its forward is a function of itself and x."""

    def __init__(self, forward, **children):
        super().__init__()
        for name, child in children.items():
            setattr(self, name, child)
        self.run = forward

    def forward(self, x):
        return self.run(self, x)


def normalized(net, **options):
    """The names of the linear maps and nonlinearities that stand before a normalization, in its wrapper."""
    surgery = nw.batch_normalize(net, **options)
    names = [change.name for change in surgery.changes if not change.before]
    return [name.removesuffix(".norm") for name in names]


def reasons(net, **options):
    return {change.name: change.why for change in nw.batch_normalize(net, **options).left_alone}


def kinds(net):
    return [type(module).__name__ for module in net]


def conv(out=4, given=4):
    return nn.Conv2d(given, out, 3, padding=1)


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


class Mixing(nn.Module):
    """A linear map of a user's own."""

    def __init__(self, features):
        super().__init__()
        self.out_features = features
        self.weight, self.bias = nn.Parameter(torch.randn(features, 4)), nn.Parameter(torch.zeros(features))

    def forward(self, x):
        return torch.einsum("...i,oi->...o", x, self.weight) + self.bias


def test_a_user_s_own_linear_maps():
    net = nn.Sequential(Mixing(6), nn.ReLU(), nn.Linear(6, 2))
    surgery = nw.batch_normalize(net, linear=lambda module: isinstance(module, Mixing))
    assert isinstance(surgery.model[1], nw.BatchNorm1d)
    assert surgery.model[0].bias is not None
    assert surgery.model(torch.randn(3, 4)).shape == (3, 2)
    tokens = nw.batch_normalize(net, linear=lambda module: isinstance(module, Mixing), example=torch.zeros(2, 5, 4))
    assert tokens.model[1].channel_dim == -1


def test_a_linear_map_that_says_nothing_of_its_features_needs_an_example():
    net = nn.Sequential(Mixing(6), nn.ReLU(), nn.Linear(6, 2))
    del net[0].out_features
    options = {"linear": lambda module: isinstance(module, Mixing)}
    with pytest.raises(SurgeryError, match="neither out_features nor out_channels; give example="):
        nw.batch_normalize(net, **options)
    assert nw.batch_normalize(net, **options, example=torch.zeros(2, 4)).model[1].num_features == 6
    with pytest.raises(SurgeryError, match="not known which axis"):
        nw.batch_normalize(net, **options, example=torch.zeros(2, 5, 4))


def test_a_layer_of_the_user_s_sees_every_position_as_an_example():
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    calls = []

    def layer(features, dims):
        calls.append((features, dims))
        return nn.BatchNorm1d(features)

    surgery = nw.batch_normalize(net, layer=layer, example=torch.zeros(2, 5, 4))
    assert calls == [(6, 0)]
    assert surgery.changes[2].after == "BatchNorm1d(6) at each position"
    ours = nw.batch_normalize(net, example=torch.zeros(2, 5, 4)).model
    x = torch.randn(3, 5, 4)
    torch.testing.assert_close(surgery.model(x), ours(x))  # float32: the same moments of 15 values
    assert surgery.model[0].bias is None


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


@pytest.mark.parametrize(
    "before",
    [
        nn.Embedding(5, 4),
        nn.Sequential(nn.Embedding(5, 4), nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)),
        nn.Sequential(nn.Embedding(5, 4), nn.Unflatten(2, (2, 2)), nn.Flatten(2)),
    ],
)
@pytest.mark.parametrize("example", [None, torch.zeros(2, 7, dtype=torch.int64)])
def test_tokens_need_no_example(before, example):
    net = nn.Sequential(before, nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    model = nw.batch_normalize(net, example=example).model
    assert model[2].channel_dim == -1
    assert model(torch.zeros(3, 7, dtype=torch.int64)).shape == (3, 7, 2)


RANKS = {
    "mean": (lambda x: x.mean((2, 3)), 1),
    "mean kept": (lambda x: x.mean((2, 3), keepdim=True).flatten(1), 1),
    "flatten": (lambda x: torch.flatten(x, 1), 1),
    "tokens": (lambda x: x.flatten(2).transpose(1, 2), -1),
    "channels last": (lambda x: x.permute(0, 2, 3, 1), -1),
    "view": (lambda x: x.view(x.size(0), -1), 1),
    "view as tokens": (lambda x: x.reshape(x.shape[0], 16, -1).mT, -1),
    "indexed": (lambda x: x[:, :, 0, 0], 1),
    "one axis less": (lambda x: x[..., 0].transpose(1, 2), -1),
}


@pytest.mark.parametrize("name", RANKS)
def test_the_axes_of_a_linear_map_after_a_convolution(name):
    way, axis = RANKS[name]
    x = torch.randn(2, 4, 3, 3)
    features = way(torch.zeros(2, 16, 3, 3)).shape[-1]
    net = Net(lambda self, x: self.c(F.relu(self.b(way(F.relu(self.a(x)))))), a=conv(16), b=nn.Linear(features, 8),
              c=nn.Linear(8, 2))  # fmt: skip
    for model in (nw.batch_normalize(net).model, nw.batch_normalize(net, example=x).model):
        assert model.b.norm.channel_dim == axis
        model(x)


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
