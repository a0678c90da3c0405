import math

import pytest
import torch
from torch import nn

from normwise.errors import RequestError
from normwise.lab.arms import resolve
from normwise.lab.batch import Batch
from normwise.lab.evaluate import evaluate
from normwise.lab.factory import resolve as resolve_factory
from normwise.lab.networks import build, initialise
from normwise.lab.objective import Objective
from normwise.lab.settings import Settings
from normwise.nn import BatchNorm1d, BatchNorm2d


def network(arm, model="mlp:5,4", shape=(1, 4, 4)):
    (resolved,) = resolve([arm], {})
    return build(settings(resolved, model), examples(shape)).network


def settings(arm, model, seed=0):
    return Settings(**vars(arm.at(arm.points[0])), model=model, seed=seed, outputs=3)


def examples(shape, count=2):
    return Batch((torch.zeros(count, *shape),), {}, torch.zeros(count, dtype=torch.long), count)


def layers(net):
    return [f"{name}: {type(module).__name__}" for name, module in net.named_children()]


def test_normalization_stands_before_the_activation_and_takes_the_bias_s_place():
    net = network("bn")
    assert layers(net) == [
        "flatten: Flatten",
        "linear1: Linear", "norm1: BatchNorm1d", "activation1: Sigmoid",
        "linear2: Linear", "norm2: BatchNorm1d", "activation2: Sigmoid",
        "output: Linear",
    ]  # fmt: skip
    assert isinstance(net.norm1, BatchNorm1d)
    assert (net.linear1.bias, net.linear2.bias) == (None, None)
    assert net.output.bias is not None


def test_normalization_after_the_activation_leaves_the_bias():
    net = network("bn, place=after, dropout=0.2, activation=leaky_relu:0.3")
    assert layers(net)[1:5] == ["linear1: Linear", "activation1: LeakyReLU", "norm1: BatchNorm1d", "dropout1: Dropout"]
    assert net.linear1.bias is not None
    assert (net.activation1.negative_slope, net.dropout1.p) == (0.3, 0.2)


@pytest.mark.parametrize("arm", ["plain", "norm=layer", "norm=group:1"])
def test_only_batch_normalization_makes_a_bias_useless(arm):
    assert network(arm).linear1.bias is not None


LAYERS = [("all", [1, 2, 3, 4]), ("first", [1]), ("last", [4]), ("every:2", [2, 4]), ("3+1", [1, 3])]


@pytest.mark.parametrize(("layers", "normalized"), LAYERS)
@pytest.mark.parametrize("model", ["mlp:5x4", "cnn:4x4"])
def test_layers_are_chosen_by_number_and_only_they_lose_their_bias(layers, normalized, model):
    net = network(f"bn, layers={layers}", model=model, shape=(1, 16, 16))
    assert [number for number in range(1, 5) if hasattr(net, f"norm{number}")] == normalized
    kind = "linear" if model == "mlp:5x4" else "conv"
    assert [number for number in range(1, 5) if net.get_submodule(f"{kind}{number}").bias is None] == normalized


@pytest.mark.parametrize("layers", ["5", "1+9", "every:5"])
def test_layers_that_a_network_does_not_have_are_refused(layers):
    with pytest.raises(RequestError, match=r"the network has 4 hidden layers .* give numbers up to 4"):
        network(f"bn, layers={layers}", model="mlp:5x4")


class Crossed(nn.Module):
    """Registers its layers in another order than its forward calls them in."""

    def __init__(self):
        super().__init__()
        self.second, self.first, self.output = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 3)

    def forward(self, x):
        return self.output(torch.relu(self.second(torch.relu(self.first(x.flatten(1))))))


def test_layers_of_one_s_own_network_count_in_the_order_of_its_forward():
    (arm,) = resolve(["bn, layers=first"], {}, own_model=True)
    factory = resolve_factory(Crossed, what="model")
    net = build(settings(arm, "crossed"), examples((1, 4, 4)), factory).network
    assert hasattr(net.first, "norm")
    assert not hasattr(net.second, "norm")


def test_a_convolutional_network_normalizes_feature_maps():
    net = network("bn", model="cnn:6,8", shape=(3, 9, 9))
    assert layers(net)[:4] == ["conv1: Conv2d", "norm1: BatchNorm2d", "activation1: Sigmoid", "pool1: MaxPool2d"]
    assert isinstance(net.norm1, BatchNorm2d)
    assert net.conv1.bias is None
    assert net(torch.randn(2, 3, 9, 9)).shape == (2, 3)


@pytest.mark.parametrize(("arm", "groups"), [("norm=layer", 1), ("norm=group:2", 2)])
def test_layer_and_group_normalization_of_an_example(arm, groups):
    net = network(arm, model="cnn:6", shape=(3, 4, 4))
    x = torch.randn(2, 6, 4, 4)
    each = net.norm1(x).reshape(2, groups, -1)
    assert torch.allclose(each.mean(-1), torch.zeros(2, groups), atol=1e-6)  # float32 rounding
    # The biased variance is 1 up to ε = 1e-5 in the denominator, on variances near 1.
    assert torch.allclose(each.var(-1, unbiased=False), torch.ones(2, groups), atol=1e-4)


@pytest.mark.parametrize(
    ("init", "std"),
    [
        ("xavier", math.sqrt(2 / (400 + 300))),
        ("he", math.sqrt(2 / 400)),
        ("lecun", math.sqrt(1 / 400)),
        ("orthogonal", math.sqrt(1 / 400)),  # 300 orthonormal rows of 400 numbers
        ("normal:0.04", 0.04),
    ],
)
def test_initial_weights_have_the_standard_deviation_of_their_scheme(init, std):
    net = nn.Sequential(nn.Linear(400, 300))
    initialise(net, init)
    weight = net[0].weight
    # 120,000 draws: the standard deviation is known to 0.2 %, the mean to 0.3 % of it; five times that.
    assert weight.std().item() == pytest.approx(std, rel=0.01)
    assert abs(weight.mean().item()) < 0.015 * std
    assert not net[0].bias.any()


def test_orthogonal_weights_are():
    net = nn.Sequential(nn.Conv2d(4, 6, 3))
    initialise(net, "orthogonal")
    rows = net[0].weight.flatten(1)
    assert torch.allclose(rows @ rows.T, torch.eye(6), atol=1e-5)  # float32 rounding


def test_selu_is_a_layer_of_its_own():
    from normwise.nn.nonlinearity import nonlinearity

    assert isinstance(nonlinearity("selu"), nn.SELU)
    assert nonlinearity("leaky_relu:0.3").negative_slope == 0.3


def test_convolutions_are_initialised_too_and_default_is_torch_s():
    net = nn.Sequential(nn.Conv2d(16, 200, 5))
    before = net[0].weight.clone()
    initialise(net, "default")
    assert torch.equal(net[0].weight, before)
    initialise(net, "he")
    assert net[0].weight.std().item() == pytest.approx(math.sqrt(2 / (16 * 25)), rel=0.01)  # 80,000 draws


def test_a_user_s_network_is_drawn_from_the_run_s_seed_and_trains():
    def made(seed):
        own = resolve_factory(lambda: nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).eval(), what="model")
        (arm,) = resolve(["bn"], {}, own_model=True)
        return build(settings(arm, own.name, seed), examples((4,)), own).network

    first, again, other = made(5), made(5), made(6)
    assert torch.equal(first[0].weight, again[0].weight)
    assert not torch.equal(first[0].weight, other[0].weight)
    assert all(module.training for module in first.modules())


def test_evaluation_is_that_of_the_whole_part_and_leaves_the_modes():
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))
    net[1].eval()
    X, y = torch.randn(2500, 4), torch.randint(3, (2500,))
    whole = [Batch((X[:1000],), {}, y[:1000], 1000), Batch((X[1000:],), {}, y[1000:], 1500)]
    found = evaluate(net, Objective(Settings(outputs=3)), {"test": whole})["test"]
    assert [module.training for module in net] == [True, False, True, True]
    net.eval()
    outputs = net(X).double()
    assert found["loss"] == pytest.approx(nn.functional.cross_entropy(outputs, y).item(), rel=1e-5)  # float32 sums
    assert found["accuracy"] == (outputs.argmax(1) == y).double().mean().item()


def test_evaluation_lets_a_network_keep_what_it_computed():
    class Caching(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 3)
            self.ones = None

        def forward(self, x):
            self.ones = torch.ones(3) if self.ones is None else self.ones
            return self.linear(x) * self.ones

    net, X, y = Caching(), torch.randn(5, 4), torch.zeros(5, dtype=torch.long)
    evaluate(net, Objective(Settings(outputs=3)), {"test": [Batch((X,), {}, y, 5)]})
    net(X).sum().backward()


@pytest.mark.parametrize(
    ("model", "example", "said"),
    [
        ("cnn", examples((3, 8)), r"model cnn needs images, examples of shape \(channels, height, width\)"),
        ("mlp", Batch((torch.zeros(2, 3), torch.zeros(2, 3)), {}, None, 2), "these data have several inputs"),
        ("mlp", Batch((), {"x": torch.zeros(2, 3)}, None, 2), "these data have several inputs"),
    ],
)
def test_examples_that_a_built_in_network_does_not_take(model, example, said):
    (arm,) = resolve(["bn"], {})
    with pytest.raises(RequestError, match=said):
        build(settings(arm, model), example)


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 5), nn.Linear(4, 5)
        self.out = nn.Linear(5, 1)

    def forward(self, x, z):
        return self.out(torch.tanh(self.a(x)) + torch.tanh(self.b(z)))


class Given(nn.Module):
    """A network with functions for activations, and probabilities for outputs."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Dropout(0.5))
        self.second, self.out = nn.Linear(6, 5), nn.Linear(5, 2)

    def forward(self, x):
        return torch.softmax(self.out(torch.relu(self.second(self.body(x)))), 1)


def test_a_user_s_network_gets_activation_output_and_normalization_and_layers_keep_their_names():
    own, example = resolve_factory(Given, what="model"), examples((3,), 4)
    (arm, plain) = resolve(["bn, activation=selu, output=linear, init=he", "plain, init=he"], {}, own_model=True)
    torch.manual_seed(3)
    built = build(settings(arm, own.name, 3), example, own)
    kinds = [type(module).__name__ for module in built.network.modules()]
    assert (kinds.count("BatchNorm1d"), kinds.count("SELU"), kinds.count("Tanh")) == (2, 1, 0)
    maps = {name: module for name, module in built.network.named_modules() if isinstance(module, nn.Linear)}
    assert [built.names.get(name, name) for name in maps] == ["body.0", "second", "out"]
    assert {"mode", "body.1", "body.2"} & {*built.names.values()} == {"body.1", "body.2"}
    torch.manual_seed(3)
    first = build(settings(plain, own.name, 3), example, own).network
    weights = [module.weight for module in first.modules() if isinstance(module, nn.Linear)]
    assert all(torch.equal(one.weight, other) for one, other in zip(maps.values(), weights, strict=True))
    y = built.network(torch.randn(4, 3))
    assert not torch.allclose(y.sum(1), torch.ones(4))


@pytest.mark.parametrize("by_name", [False, True])
def test_layers_of_a_network_of_several_inputs_keep_their_names_in_every_arm(by_name):
    x, z = torch.zeros(2, 3), torch.zeros(2, 4)
    example = Batch((), {"x": x, "z": z}, None, 2) if by_name else Batch((x, z), {}, None, 2)
    own = resolve_factory(TwoInputs, what="model")
    for text in ("plain", "bn"):
        (arm,) = resolve([text], {}, own_model=True)
        built = build(settings(arm, own.name), example, own)
        assert example.through(built.network).shape == (2, 1)
        maps = [name for name, module in built.network.named_modules() if isinstance(module, nn.Linear)]
        assert [built.names.get(name, name) for name in maps] == ["a", "b", "out"]
