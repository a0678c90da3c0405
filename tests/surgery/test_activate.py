"""Other activations, and outputs without any: where they are found, what stays, and what the network computes."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import normwise as nw
from normwise.errors import InvalidArgumentError, SurgeryError
from normwise.nn.nonlinearity import NAMES, function, nonlinearity
from normwise.surgery import activate, linear_output
from normwise.surgery.change import original_names
from zoo import ZOO

HIDDEN = {
    "vgg": 6, "mlp": 2, "gan": 2, "resnet": 4, "preact_resnet": 5, "lstm": 1, "vit": 2, "shared": 1, "shared_pair": 2,
    "tied": 2, "functional": 2, "branching": 2, "bn_first": 2, "fused": 2, "subclassed": 1,
}  # fmt: skip
"""How many modules or calls are replaced in each network."""


def done(surgery):
    return [change for change in surgery.changes if change.why == "an activation of a hidden layer"]


def reasons(surgery):
    return {change.name: change.why.removeprefix("left alone: ") for change in surgery.left_alone}


def state(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


@pytest.mark.parametrize("name", HIDDEN)
def test_every_activation_of_a_hidden_layer_is_found(name):
    net, x = ZOO[name].make(), ZOO[name].example()
    before, printed = state(net), repr(net)
    surgery = activate(net, "elu:0.5", example=x)
    assert len(done(surgery)) == HIDDEN[name]
    assert repr(net) == printed
    assert state(surgery.model).keys() == before.keys()
    assert all(torch.equal(value, before[key]) for key, value in surgery.model.state_dict().items())
    names = original_names(surgery)
    assert {key for key, _ in net.named_parameters()} == {key for key, _ in surgery.model.named_parameters()}
    assert all(new == old for new, old in names.items())
    y = surgery.model(x)
    assert y.shape == ZOO[name].output
    assert not torch.equal(y, copy.deepcopy(net)(x))
    (y * torch.randn_like(y)).sum().backward()
    assert all(parameter.grad is not None for parameter in surgery.model.parameters())


class Written(nn.Module):
    """Activations as modules, functions and methods, of hidden layers, a gate and the output."""

    def __init__(self, act=F.relu):
        super().__init__()
        self.act = act
        self.first, self.second, self.gate, self.head = (nn.Linear(6, 6) for _ in range(4))
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        x = self.act(self.first(x))
        x = self.drop(self.act(self.second(x)))
        x = F.dropout(x, 0.5, training=self.training)
        x = x * torch.sigmoid(self.gate(x))
        return self.head(x).softmax(-1)


CALLS = [
    F.relu, torch.relu, torch.sigmoid, torch.tanh, F.selu, F.softplus,
    lambda x: x.tanh(), lambda x: x.relu(), lambda x: F.leaky_relu(x, 0.3), lambda x: F.elu(x, alpha=2.0),
]  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_functions_are_replaced_in_training_and_evaluation(call):
    net, x = Written(call), torch.randn(5, 6)
    surgery = activate(net, "leaky_relu:0.2")
    expected = Written(lambda x: F.leaky_relu(x, 0.2))
    expected.load_state_dict(net.state_dict())
    for training in (True, False):
        results = []
        for each in (surgery.model, expected):
            torch.manual_seed(2)
            results.append(each.train(training)(x))
        torch.testing.assert_close(*results, rtol=0, atol=0)
    assert reasons(surgery) == {"": "it makes the network's output"}
    assert [tuple(each)[:3] for each in surgery.changes if not each.before] == [("mode", "", "Mode()")]


def test_each_part_of_a_network_keeps_its_own_mode():
    net = nn.Sequential(Written(), Written(torch.tanh))
    changed = activate(net, "gelu").model.eval()
    x = torch.randn(5, 6)
    assert torch.equal(changed(x), changed(x))
    changed.get_submodule("1").train()
    assert not torch.equal(changed(x), changed(x))
    copied = pickle.loads(pickle.dumps(changed.eval()))
    torch.testing.assert_close(copied(x), copy.deepcopy(changed)(x))
    with pytest.raises(SurgeryError, match="0 cannot be called by itself any more"):
        changed.get_submodule("0")(x)


def test_a_rewritten_network_can_be_changed_again():
    net, x = Written(), torch.randn(5, 6)
    logits = linear_output(activate(net, "tanh").model, example=x)
    twice = nw.batch_normalize(activate(logits.model, "selu", example=x).model, example=x)
    assert sum(isinstance(module, nn.BatchNorm1d) for module in twice.model.modules()) == 3  # the gate has one, too
    assert "head" in original_names(twice)
    assert twice.changes[0].why == "followed with torch.fx"
    assert twice.model(x).shape == (5, 6)


@pytest.mark.parametrize("spec", NAMES)
def test_function_and_layer_of_a_name_compute_the_same(spec):
    x = torch.randn(50)
    if spec == "identity":
        assert torch.equal(nonlinearity(spec)(x), x)
    else:
        called, keywords = function(spec)
        assert torch.equal(called(x, **keywords), nonlinearity(spec)(x))


class Blocks(nn.Module):
    """Squeeze and excitation, a gated unit, a shortcut before the output, and a swish written by hand."""

    def __init__(self):
        super().__init__()
        self.stem, self.down, self.up = nn.Linear(4, 4), nn.Linear(4, 2), nn.Linear(2, 4)
        self.value, self.key, self.last = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.swish = nn.Linear(4, 4)
        self.acts = nn.ModuleDict({name: nn.ReLU() for name in ("stem", "down", "gated", "last")})

    def forward(self, x):
        x = self.acts["stem"](self.stem(x))
        x = x * F.hardsigmoid(self.up(self.acts["down"](self.down(x))))
        x = self.acts["gated"](self.value(x)) * self.key(x)
        x = self.swish(x)
        x = x * x.sigmoid()
        return x + self.acts["last"](self.last(x))


def test_gates_stay_and_what_is_gated_does_not():
    surgery = activate(Blocks(), "tanh")
    assert [change.name for change in done(surgery)] == ["acts.stem", "acts.down", "acts.last"]
    gate = "its output multiplies another value, as a gate"
    assert [(change.name, change.before) for change in surgery.left_alone if change.why.endswith(gate)] == [
        ("", "hardsigmoid()"), ("", "sigmoid()"), ("acts.gated", "ReLU()"),
    ]  # fmt: skip


def test_a_mask_is_no_gate_for_an_unbounded_activation():
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.act, self.head = nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 1)

        def forward(self, x, mask):
            return self.head(self.act(self.fc(x)) * mask)

    assert [change.name for change in done(activate(Masked(), "tanh"))] == ["act"]


def test_hooks_and_values_changed_in_place_keep_their_activation():
    class Quirk(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.act, self.watched, self.out = (
                nn.Linear(3, 3),
                nn.ReLU(inplace=True),
                nn.ReLU(),
                nn.Linear(3, 1),
            )
            self.plain, self.unused = nn.Tanh(), nn.Tanh()

        def forward(self, x):
            x = self.fc(x)
            y = self.act(x)
            return self.out(self.plain(self.watched(y - 1) + x))

    net = Quirk()
    net.watched.register_forward_hook(lambda *_: None)
    assert reasons(activate(net, "selu")) == {
        "act": "it changes its input in place, and what comes after it takes that",
        "watched": "it has hooks, which a new module would not",
        "unused": "forward does not call it",
    }


def test_modules_get_mode_and_places_of_those_they_replace_and_functions_need_a_copy():
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), Written(), nn.Linear(6, 1))
    net[0] = nn.Linear(3, 6)
    net[1].eval()
    before, linear = net, net[0]
    surgery = activate(net, "selu", inplace=True)
    assert surgery.model is before
    assert surgery.model[0] is linear
    assert isinstance(net[1], nn.SELU)
    assert not net[1].training
    assert [each.why.partition(", which")[0] for each in surgery.left_alone if each.before == "relu()"] == [
        "left alone: it is called as a function, and that takes another forward"
    ] * 2


def test_what_computes_it_already_stays_as_it_is():
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 1))
    assert [change.name for change in done(activate(net, "relu"))] == ["3"]
    assert not done(activate(activate(net, "relu").model, "relu"))
    assert not done(activate(Written(), "relu"))


@pytest.mark.parametrize(
    ("net", "said"),
    [
        (nn.Linear(3, 1), "looked for elementwise activations of hidden layers; found none"),
        (nn.Sequential(nn.Linear(3, 1), nn.Sigmoid()), r"1 \(Sigmoid\(\)\): it makes the network's output"),
        (nn.LSTM(3, 2), "recurrent modules are left as they are"),
    ],
)
def test_nothing_to_replace_is_refused(net, said):
    with pytest.raises(SurgeryError, match=said):
        activate(net, "relu")


def test_an_unknown_activation_is_refused():
    for spec, said in (("rely", "did you mean 'relu'"), ("selu:2", "selu"), ("relu:1", "takes no parameter")):
        with pytest.raises(InvalidArgumentError, match=said):
            activate(nn.ReLU(), spec)


def test_a_normalization_that_cannot_compute_it_is_left_alone():
    net = ZOO["fused"].make()
    with pytest.raises(SurgeryError, match="a normalization cannot compute selu itself"):
        activate(net, "selu")


class Untraceable(nn.Module):
    def __init__(self, *ends):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU())
        self.ends = nn.Sequential(nn.Linear(3, 2), *ends)

    def forward(self, x):
        if x.sum() > 1e9:
            return x
        return self.ends(F.relu(self.body(x)))


def test_a_network_that_cannot_be_traced_is_followed_on_an_example_or_by_its_modules():
    net, x = Untraceable(nn.Sigmoid()), torch.randn(4, 3)
    by_modules, observed = activate(net, "selu"), activate(net, "selu", example=x)
    for each in (by_modules, observed):
        assert [change.name for change in done(each)] == ["body.1", "body.3"]
        assert reasons(each)["ends.1"].endswith("makes the network's output")
    (why,) = [change.why for change in observed.left_alone if change.before == "relu()"]
    assert why.startswith("left alone: it is called as a function, and torch.fx cannot trace it")
    with pytest.raises(SurgeryError, match=r"cannot tell what makes the output of Untraceable.*give an example"):
        linear_output(net)
    assert isinstance(linear_output(net, example=x).model.ends[1], nn.Identity)


class Probabilities(nn.Module):
    def __init__(self, last):
        super().__init__()
        self.fc, self.act, self.head, self.last = nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 4), last

    def forward(self, x):
        return self.last(self.head(self.act(self.fc(x)))).squeeze(-1)


LASTS = [
    nn.Softmax(-1), nn.Sequential(nn.ReLU(), nn.LogSoftmax(-1)), lambda x: F.softmax(x, -1).log(), torch.sigmoid,
    lambda x: F.log_softmax(F.relu(x), dim=1), lambda x: x.sigmoid().clamp(0.1, 0.9),
]  # fmt: skip


@pytest.mark.parametrize("last", LASTS)
def test_the_output_is_what_the_last_linear_map_gives(last):
    net, x = Probabilities(last), torch.randn(4, 3)
    y = linear_output(net, example=x).model(x)
    torch.testing.assert_close(y, net.head(net.act(net.fc(x))))
    assert not torch.equal(y, net(x))


def test_an_activation_that_is_shared_with_a_hidden_layer_is_taken_off_the_output_alone():
    net, x = Probabilities(nn.Identity()), torch.randn(4, 3)
    net.last = net.act
    torch.testing.assert_close(linear_output(net).model(x), net.head(torch.tanh(net.fc(x))))


def test_an_output_that_is_linear_already_is_refused():
    for name in ("vgg", "functional", "branching"):
        with pytest.raises(SurgeryError, match="nothing to take off the output"):
            linear_output(ZOO[name].make(), example=ZOO[name].example())
