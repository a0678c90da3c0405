from __future__ import annotations

import copy
from collections import OrderedDict

import pytest
import torch
from torch import nn

from normwise.errors import InvalidArgumentError, SurgeryError
from normwise.surgery import batch_normalize


def kinds(net):
    return [type(module).__name__ for module in net]


def mlp():
    return nn.Sequential(nn.Linear(4, 6), nn.Sigmoid(), nn.Linear(6, 5), nn.Sigmoid(), nn.Linear(5, 3))


class Vgg(nn.Module):
    """After the published description: features, classifier, and a forward by hand."""

    def __init__(self, *, batch_norm=False):
        super().__init__()
        layers, channels = [], 3
        for width in (4, "M", 8, 8, "M"):
            if width == "M":
                layers.append(nn.MaxPool2d(2, 2))
                continue
            norm = [nn.BatchNorm2d(width)] if batch_norm else []
            layers += [nn.Conv2d(channels, width, 3, padding=1), *norm, nn.ReLU(inplace=True)]
            channels = width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Linear(8 * 4, 16), nn.ReLU(True), nn.Dropout(), nn.Linear(16, 10))

    def forward(self, x):
        return self.classifier(torch.flatten(self.features(x), 1))


def test_vgg_gets_the_layers_and_names_of_its_published_variant():
    model = batch_normalize(Vgg(), skip=["classifier"]).model
    published = Vgg(batch_norm=True)
    biases = {f"features.{index}.bias" for index in (0, 4, 7)}  # ours are removed
    assert model.state_dict().keys() == published.state_dict().keys() - biases
    for ours, theirs in zip(model.features, published.features, strict=True):
        assert isinstance(ours, type(theirs))


@pytest.mark.parametrize("example", [None, torch.zeros(2, 3, 8, 8)])
def test_vgg_without_skip_normalizes_the_classifier_too(example):
    model = batch_normalize(Vgg(), example=example).model
    assert kinds(model.classifier) == ["Linear", "BatchNorm1d", "ReLU", "Dropout", "Linear"]
    assert model(torch.randn(2, 3, 8, 8)).shape == (2, 10)


def test_before_computes_the_network_that_one_writes_by_hand():
    net = mlp()
    model = batch_normalize(net).model
    x = torch.randn(16, 4)
    norm1, norm2 = nn.BatchNorm1d(6), nn.BatchNorm1d(5)
    hidden = norm1(x @ net[0].weight.T).sigmoid()
    hidden = norm2(hidden @ net[2].weight.T).sigmoid()
    # float32: two orders of the same sums of up to 16 terms
    torch.testing.assert_close(model(x), net[4](hidden), rtol=1e-4, atol=1e-5)


def test_after_computes_the_network_that_one_writes_by_hand():
    net = mlp()
    model = batch_normalize(net, place="after").model
    x = torch.randn(16, 4)
    hidden = nn.BatchNorm1d(6)(net[0](x).sigmoid())
    hidden = nn.BatchNorm1d(5)(net[2](hidden).sigmoid())
    torch.testing.assert_close(model(x), net[4](hidden), rtol=1e-4, atol=1e-5)  # as above
    assert all(module.bias is not None for module in model if isinstance(module, nn.Linear))


def test_says_what_it_did():
    assert str(batch_normalize(mlp())).splitlines() == [
        "name  before      after                why",
        "────  ──────────  ───────────────────  ────────────────────────────────────────────────────────────",
        "      Sequential  Sequential           followed with torch.fx",
        "0     Linear      Linear without bias  the mean that batch normalization subtracts cancels the bias",
        "1                 BatchNorm1d(6)       normalizes the input of 2 (Sigmoid)",
        "2     1           2                    renumbered",
        "3     2           3                    renumbered",
        "3     Linear      Linear without bias  the mean that batch normalization subtracts cancels the bias",
        "4                 BatchNorm1d(5)       normalizes the input of 5 (Sigmoid)",
        "5     3           5                    renumbered",
        "6     4           6                    renumbered",
    ]


@pytest.mark.parametrize("place", ["before", "after"])
def test_renamed_maps_every_module_that_moved(place):
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Dropout()), nn.Tanh())
    surgery = batch_normalize(net, place=place, inplace=True, skip=["3"])
    old = {"0": 3, "2.0": 4}
    for name, features in old.items():
        assert net.get_submodule(surgery.renamed.get(name, name)).in_features == features
    assert isinstance(net.get_submodule(surgery.renamed["2.2"]), nn.Dropout)


def test_names_in_a_named_sequential():
    net = nn.Sequential(OrderedDict(linear=nn.Linear(3, 4), relu=nn.ReLU(), output=nn.Linear(4, 2)))
    surgery = batch_normalize(net)
    assert list(surgery.model._modules) == ["linear", "relu_norm", "relu", "output"]
    assert surgery.renamed == {}


def test_a_shared_nonlinearity_gets_a_layer_per_place():
    act = nn.ReLU()
    net = nn.Sequential(nn.Linear(3, 4), act, nn.Linear(4, 5), act, nn.Linear(5, 2))
    model = batch_normalize(net, example=torch.zeros(2, 3)).model
    assert model[2] is model[5]
    assert (model[1].num_features, model[4].num_features) == (4, 5)


def test_a_shared_linear_map_keeps_its_bias():
    linear = nn.Linear(3, 3)
    model = batch_normalize(nn.Sequential(linear, nn.ReLU(), linear)).model
    assert model[0] is model[3]
    assert model[0].bias is not None


@pytest.mark.parametrize("between", [[], [nn.Identity()], [nn.Dropout()], [nn.MaxPool1d(1)]])
def test_it_goes_directly_after_the_linear_map_and_takes_the_bias_s_place(between):
    model = batch_normalize(nn.Sequential(nn.Conv1d(2, 3, 1), *between, nn.ReLU(), nn.Conv1d(3, 1, 1))).model
    assert kinds(model)[:2] == ["Conv1d", "BatchNorm1d"]
    assert model[0].bias is None
    assert model[-1].bias is not None


def test_another_normalization_keeps_the_bias():
    calls = []

    def layer(features, dims):
        calls.append((features, dims))
        return nn.GroupNorm(1, features)

    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 6), nn.Tanh(), nn.Linear(6, 2))
    surgery = batch_normalize(net, layer=layer)
    model = surgery.model
    assert calls == [(4, 2), (6, 0)]
    assert [change.after for change in surgery.changes if not change.before] == ["GroupNorm(1, 4)", "GroupNorm(1, 6)"]
    assert kinds(model)[:3] == ["Conv2d", "GroupNorm", "ReLU"]
    assert model[0].bias is not None


def test_normalized_places_are_left_alone():
    net = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.ReLU(), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))
    model = batch_normalize(net).model
    assert kinds(model) == ["Linear", "LayerNorm", "ReLU", "Linear", "BatchNorm1d", "ReLU", "Linear"]
    assert model[0].bias is not None
    with pytest.raises(SurgeryError, match="places already normalized: 2"):
        batch_normalize(model)


@pytest.mark.parametrize("place", ["before", "after"])
def test_twice_is_an_error_that_says_so(place):
    once = batch_normalize(mlp(), place=place).model
    for again in ("before", "after"):
        with pytest.raises(SurgeryError, match=r"places already normalized: 2\.$"):
            batch_normalize(once, place=again)


@pytest.mark.parametrize(
    "skip", ["3", ["3"], ["2"], lambda name, module: name == "3", lambda name, module: module.__class__ is nn.Tanh]
)
def test_skip(skip):
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2))
    assert kinds(batch_normalize(net, skip=skip).model) == ["Linear", "BatchNorm1d", "ReLU", "Linear", "Tanh", "Linear"]


def test_skip_takes_whole_names():
    net = nn.Sequential(*[layer for _ in range(6) for layer in (nn.Linear(3, 3), nn.ReLU())])
    model = batch_normalize(net, skip=["1"]).model  # not "11" too
    assert kinds(model).count("BatchNorm1d") == 5


def test_skip_of_nothing_is_an_error():
    with pytest.raises(SurgeryError, match=r"unknown module 'layer9'.*Allowed: 0, 1, 2, 3, 4"):
        batch_normalize(mlp(), skip=["layer9"])


def state(net):
    return (
        copy.deepcopy(net.state_dict()),
        list(net._modules),
        [module.training for module in net.modules()],
        str(net),
        torch.get_rng_state(),
    )


def same(one, other):
    return (
        one[0].keys() == other[0].keys()
        and all(torch.equal(one[0][name], other[0][name]) for name in one[0])
        and one[1:4] == other[1:4]
        and torch.equal(one[4], other[4])
    )


class Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return x + torch.randn_like(x)


def test_which_chooses_places_by_number():
    counts = []

    def second(count):
        counts.append(count)
        return [2]

    model = batch_normalize(mlp(), which=second).model
    assert counts == [2]
    assert kinds(model) == ["Linear", "Sigmoid", "Linear", "BatchNorm1d", "Sigmoid", "Linear"]


@pytest.mark.parametrize("numbers", [[], [0], [1, 3]])
def test_which_must_give_places_that_there_are(numbers):
    with pytest.raises(InvalidArgumentError, match=r"it gives numbers from 1 to 2"):
        batch_normalize(mlp(), which=lambda count: numbers)


@pytest.mark.parametrize("example", [None, torch.ones(2, 4)])
def test_the_input_is_not_modified(example):
    net = nn.Sequential(Noisy(), *mlp())
    before = state(net)
    surgery = batch_normalize(net, example=example)
    assert same(state(net), before)
    assert surgery.model is not net
    assert surgery.model[0].calls == 0


def test_inplace_changes_the_network_itself():
    net = mlp()
    modules = list(net)
    surgery = batch_normalize(net, inplace=True, example=torch.zeros(2, 4))
    assert surgery.model is net
    assert [net[0], net[2], net[3], net[5], net[6]] == modules


@pytest.mark.parametrize(
    "options",
    [
        {"example": torch.zeros(2, 99)},
        {"skip": ["nothing"]},
        {"place": "under"},
        {"layer": lambda features, dims: nn.GroupNorm(4, features)},  # raises for the second place
    ],
)
def test_an_error_leaves_the_network_as_it_was_also_inplace(options):
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2))
    before = state(net)
    with pytest.raises(ValueError):  # noqa: PT011 - SurgeryError, InvalidArgumentError or the layer's own
        batch_normalize(net, inplace=True, **options)
    assert same(state(net), before)


def test_modes_flags_dtype_and_hooks_survive():
    net = mlp().double()
    net[0].weight.requires_grad_(False)
    net[2].eval()
    calls = []
    net[1].register_forward_hook(lambda *_: calls.append("hook"))
    model = batch_normalize(net).model
    assert [module.training for module in model] == [True, True, True, False, True, True, True]
    assert not model[0].weight.requires_grad
    assert model[3].weight.requires_grad
    assert {tensor.dtype for tensor in model.parameters()} == {torch.float64}
    assert model[1].running_mean.dtype == torch.float64
    assert model[1].num_batches_tracked.dtype == torch.int64
    model(torch.randn(3, 4, dtype=torch.float64))
    assert calls == ["hook"]


def test_new_layers_take_the_mode_of_their_place():
    model = batch_normalize(mlp().eval()).model
    assert not any(module.training for module in model.modules())


def test_device_survives():
    model = batch_normalize(mlp().to("meta")).model
    assert {tensor.device.type for tensor in (*model.parameters(), *model.buffers())} == {"meta"}


@pytest.mark.parametrize(
    ("net", "found"),
    [
        (nn.Sequential(nn.Linear(3, 2)), "linear maps: 1"),
        (nn.Identity(), "found no layers"),
        (nn.Sequential(nn.Linear(3, 2), nn.Softmax(1)), "linear maps: 1"),
    ],
)
def test_nothing_to_normalize_is_an_error(net, found):
    with pytest.raises(SurgeryError, match=found):
        batch_normalize(net)


@pytest.mark.parametrize("model", ["x", None, nn.Linear, {"weight": torch.zeros(2)}, lambda x: x])
def test_what_is_no_network_is_refused(model):
    given = "the class Linear; make one" if model is nn.Linear else type(model).__name__
    with pytest.raises(InvalidArgumentError, match=f"model must be an nn.Module, got {given}"):
        batch_normalize(model)


def test_an_unknown_place():
    with pytest.raises(InvalidArgumentError, match=r"unknown place 'befor'; did you mean 'before'\?"):
        batch_normalize(mlp(), place="befor")


def test_removing_the_bias_does_not_change_training():
    net = mlp()
    model = batch_normalize(net).model
    kept = copy.deepcopy(model)
    for name in ("0", "3"):
        kept.get_submodule(name).bias = nn.Parameter(torch.randn(kept.get_submodule(name).out_features))
    x, upstream = torch.randn(16, 4), torch.randn(16, 3)
    y, z = model(x), kept(x)
    torch.testing.assert_close(y, z, rtol=1e-4, atol=1e-5)  # float32, the bias is of the size of what remains
    y.backward(upstream)
    z.backward(upstream)
    torch.testing.assert_close(model[0].weight.grad, kept[0].weight.grad, rtol=1e-3, atol=1e-4)  # as above, deeper
    assert kept[0].bias.grad.abs().max() < 1e-4 * kept[0].weight.grad.abs().max()
