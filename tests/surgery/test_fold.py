from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrizations, prune

import normwise as nw
from normwise.errors import SurgeryError
from normwise.surgery.folding.affine import ChannelAffine, Epilogue
from tensors import same_bits
from zoo import ZOO, randomize

NORMALIZED = [entry for entry in ZOO.values() if entry.norms + entry.functional]
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
fold = nw.surgery.fold
image = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def double(network):
    """In float64, in evaluation, with statistics, weights and biases unlike those at the start."""
    return randomize(network).double().eval()


def expected(network, example):
    return copy.deepcopy(network).eval()(example)


def error(got, want):
    return float(((got - want).abs().max() / want.abs().max()).detach())


def folded(surgery):
    """The names of the normalizations that are gone."""
    return [change.name for change in surgery.changes if change.why.startswith("part of")]


def why(surgery, name):
    (change,) = (change for change in surgery.changes if change.name == name)
    return change.why


def check(network, example, gone):
    """Fold; the outputs stay, also on other inputs, and exactly the normalizations in ``gone`` are gone."""
    surgery = fold(network, example=example)
    for x in (example, example * 3 - 1):
        assert error(surgery.model(x), expected(network, x)) <= TOLERANCE[x.dtype]
    assert folded(surgery) == gone
    return surgery


@pytest.mark.parametrize("entry", NORMALIZED, ids=str)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_every_network_computes_the_same_with_fewer_normalizations(entry, dtype, training):
    network, x = randomize(entry.make()).to(dtype).train(training), entry.example().to(dtype)
    state, modes = copy.deepcopy(network.state_dict()), [module.training for module in network.modules()]
    surgery = fold(network, example=x)
    assert error(surgery.model(x), expected(network, x)) <= TOLERANCE[dtype]
    assert len(folded(surgery)) == entry.foldable
    assert not any(module.training for module in surgery.model.modules())
    assert all(parameter.dtype is dtype for parameter in surgery.model.parameters())
    same_bits(network.state_dict(), state)
    assert [module.training for module in network.modules()] == modes


@pytest.mark.parametrize("name", ["vgg_bn", "resnet", "mobilenet_v2", "inception_bn", "unet", "gan", "alexnet_bn"])
def test_no_normalization_is_left_and_all_else_is_where_it_was(name):
    entry = ZOO[name]
    network, x = randomize(entry.make()), entry.example()
    made = fold(network, example=x).model
    norms = {name for name, module in network.named_modules() if isinstance(module, _BatchNorm)}
    assert len(norms) == entry.norms
    assert type(made) is type(network)
    before, after = dict(network.named_modules()), dict(made.named_modules())
    assert list(before) == list(after)
    assert {name for name in after if type(after[name]) is not type(before[name])} == norms
    assert all(type(after[name]) is nn.Identity for name in norms)


@pytest.mark.parametrize("name", ["shared", "shared_pair", "alias", "tied_bn"])
def test_what_was_shared_is_shared(name):
    def classes(network):
        names, values = zip(*network.named_modules(remove_duplicate=False), strict=True)
        return [names[values.index(value)] for value in values]

    network = randomize(ZOO[name].make())
    made = fold(network, example=ZOO[name].example()).model
    assert classes(made) == classes(network)
    assert len(list(made.parameters())) == len({id(p) for p in made.parameters()})


def test_a_tied_weight_stays_tied():
    made = fold(randomize(ZOO["tied_bn"].make()), example=ZOO["tied_bn"].example()).model
    assert made.fc1.weight is made.fc2.weight


class Calls(nn.Module):
    """A convolution, a normalization and what a test does with them."""

    def __init__(self, forward, norm=None, conv=None):
        super().__init__()
        self.conv, self.norm = conv or nn.Conv2d(3, 3, 1), norm or nn.BatchNorm2d(3)
        self.rule = forward

    def forward(self, x):
        return self.rule(self, x)


ONE_USE = {
    "directly": (lambda net, x: net.norm(net.conv(x)), ["norm"]),
    "by keyword": (lambda net, x: net.norm(input=net.conv(input=x)), ["norm"]),
    "the convolution twice": (lambda net, x: net.conv(net.norm(net.conv(x))), []),
    "the convolution twice, added": (lambda net, x: net.norm(net.conv(x)) + net.conv(x * 2), []),
    "its output too": (lambda net, x: net.norm(y := net.conv(x)) + y, []),
    "its output in place": (lambda net, x: net.norm(net.conv(x).mul_(2)), []),
    "its output later, in place": (lambda net, x: [y := net.conv(x), net.norm(y), y.add_(1)][1], []),
    "both twice": (lambda net, x: net.norm(net.conv(net.norm(net.conv(x)))), ["norm"]),
    "the weight too": (lambda net, x: net.norm(net.conv(x)) * net.conv.weight.detach().sum(), []),
    "its parameters too": (lambda net, x: net.norm(net.conv(x)) * net.norm.weight.detach().sum(), []),
    "changed in between": (lambda net, x: [y := x + 1, z := net.norm(y), y.mul_(0), net.conv(z)][3], []),
    "next one after": (lambda net, x: net.conv(net.norm(x)), ["norm"]),
    "next one after, and a return": (lambda net, x: net.conv(y := net.norm(x)) + y, []),
    "next one after, both twice": (lambda net, x: net.conv(net.norm(net.conv(net.norm(x)))), ["norm"]),
    "never": (lambda net, x: net.conv(x), []),
}


@pytest.mark.parametrize("case", ONE_USE)
@pytest.mark.parametrize("traceable", [True, False])
def test_a_value_that_has_another_use_is_not_touched(case, traceable):
    rule, gone = ONE_USE[case]

    def branching(net, x):
        return rule(net, x if x.sum() > -1e9 else -x)

    network = double(Calls(rule if traceable else branching))
    if traceable or case not in ("its parameters too", "never"):
        check(network, image, gone if traceable else [])


def add_one(module, args, y):
    return y + 1


def hooked(network, name):
    network.get_submodule(name).register_forward_hook(add_one)
    return network


def chain(*modules):
    return double(nn.Sequential(*modules))


def conv(*args, **kwargs):
    return nn.Conv2d(3, 3, *(args or (1,)), **kwargs)


LEFT = {
    "a hook on the convolution": (lambda: hooked(chain(conv(), nn.BatchNorm2d(3)), "0"), "hooks"),
    "a hook on the normalization": (lambda: hooked(chain(conv(), nn.BatchNorm2d(3)), "1"), "hooks"),
    "weight normalization": (lambda: chain(parametrizations.weight_norm(conv()), nn.BatchNorm2d(3)), "of its own"),
    "spectral normalization": (lambda: chain(parametrizations.spectral_norm(conv()), nn.BatchNorm2d(3)), "of its own"),
    "pruning": (lambda: ran(chain(prune.l1_unstructured(conv(), "weight", 0.5), nn.BatchNorm2d(3))), "hooks"),
    "a forward of its own": (lambda: patched(chain(conv(), nn.BatchNorm2d(3)), "0"), "of its own"),
    "a normalization with one": (lambda: patched(chain(conv(), nn.BatchNorm2d(3)), "1"), "of its own"),
    "zero padding": (lambda: chain(nn.BatchNorm2d(3), conv(3, padding=1)), "zero padding after a shift"),
    "padding that keeps the size": (lambda: chain(nn.BatchNorm2d(3), conv(3, padding="same")), "zero padding"),
    "transposed kernels overlap": (
        lambda: chain(nn.BatchNorm2d(3), nn.ConvTranspose2d(3, 2, 3)),
        "depends on the position",
    ),
    "an activation in between": (lambda: chain(conv(), nn.ReLU(), nn.BatchNorm2d(3)), "it follows 1 (ReLU)"),
    "dropout in between": (lambda: chain(conv(), nn.Dropout(), nn.BatchNorm2d(3)), "it follows 1 (Dropout)"),
    "an activation of its own": (lambda: chain(nw.BatchNorm2d(3, activation="tanh"), conv()), "its own activation"),
    "channels elsewhere": (lambda: chain(conv(), nw.BatchNorm2d(8, channel_dim=-1)), "another axis"),
}


def patched(network, name):
    module = network.get_submodule(name)
    original = module.forward
    module.forward = lambda x: original(x) * 2
    return network


@torch.no_grad()
def ran(network):
    """What pruning has computed has no history, so that it can be copied."""
    network(image)
    return network


def broken(network):
    network[1].running_var[1] = torch.nan
    return network


@pytest.mark.parametrize("case", LEFT)
def test_what_cannot_be_folded_says_why_and_computes_the_same(case):
    make, reason = LEFT[case]
    network = make()
    if case in ("a hook on the normalization", "a normalization with one"):
        network.append(conv().double()).append(nn.BatchNorm2d(3).double().eval())
    surgery = fold(network, example=image)
    assert error(surgery.model(image), expected(network, image)) <= 1e-12
    norm = next(name for name, module in network.named_modules() if isinstance(module, _BatchNorm))
    assert reason in why(surgery, norm)
    assert norm not in folded(surgery)


FOLDABLE = {
    "no statistics of position": lambda: chain(conv(3, bias=False), nn.BatchNorm2d(3, affine=False)),
    "a bias only": lambda: chain(conv(), nw.BatchNorm2d(3, bias=False)),
    "other padding after a shift": lambda: chain(nn.BatchNorm2d(3), conv(3, padding=1, padding_mode="reflect")),
    "a pixel at a time": lambda: chain(nn.BatchNorm2d(3), nn.ConvTranspose2d(3, 2, 1)),
    "overlaps that are cut off": lambda: chain(nn.BatchNorm2d(3), nn.ConvTranspose2d(3, 2, 3, padding=2)),
    "no shift before zeros": lambda: unshifted(chain(nn.BatchNorm2d(3, affine=False), conv(3, padding=1))),
    "synchronized": lambda: chain(conv(), nn.SyncBatchNorm(3)),
    "frozen": lambda: nw.freeze(chain(conv(), nn.BatchNorm2d(3))).model,
    "frozen, ours": lambda: nw.freeze(chain(conv(), nw.BatchNorm2d(3, activation="gelu"))).model,
    "identities in between": lambda: chain(conv(), nn.Identity(), nn.BatchNorm2d(3)),
    "a Linear over the last axis": lambda: chain(nn.Linear(8, 5), nw.BatchNorm2d(5, channel_dim=-1)),
    "a Linear after it": lambda: chain(nw.BatchNorm2d(8, channel_dim=-1), nn.Linear(8, 5)),
    "an epsilon of its own": lambda: chain(conv(), nn.BatchNorm2d(3, eps=0.5)),
    "nested": lambda: chain(nn.Sequential(nn.Sequential(conv())), nn.Sequential(nn.BatchNorm2d(3))),
}


def unshifted(network):
    network[0].running_mean.zero_()
    return network


@pytest.mark.parametrize("case", FOLDABLE)
def test_what_can_be_folded_is(case):
    network = FOLDABLE[case]()
    surgery = fold(network, example=image)
    assert error(surgery.model(image), expected(network, image)) <= 1e-12
    assert len(folded(surgery)) == 1
    assert not any(isinstance(module, (_BatchNorm, nw.FrozenBatchNorm, ChannelAffine)) for module in surgery.model)


@pytest.mark.parametrize("features", [7, 5])
def test_a_normalization_over_another_axis_than_the_linear_map_s_is_not_folded(features):
    """(N, C, L) after a Linear: the channels are not its outputs, also where there are as many of both."""
    network = chain(nn.Linear(4, features), nn.BatchNorm1d(5))
    x = torch.randn(6, 5, 4, dtype=torch.float64)
    assert "another axis" in why(check(network, x, []), "1")


def test_channels_are_not_mistaken_for_positions_where_a_convolution_takes_no_batch():
    network = chain(nn.Conv1d(5, 5, 1), nn.BatchNorm1d(5))  # (C, L) to the one, (N, C) to the other
    check(network, torch.randn(5, 5, dtype=torch.float64), [])


def test_an_argument_that_the_example_leaves_out_is_not_taken_to_be_there():
    class Optional(Calls):
        def forward(self, x, extra=None):
            y = self.conv(x)
            return self.norm(y) if extra is None else self.norm(y * extra)

    network = double(Optional(None))
    surgery = fold(network, example=image)
    for extra in ((), (torch.tensor(2.0).double(),)):
        assert error(surgery.model(image, *extra), network(image, *extra)) <= 1e-12


def test_a_flag_of_the_example_is_no_obstacle():
    class Flagged(Calls):
        def forward(self, x, twice, scale=1):
            y = self.norm(self.conv(x))
            y = F.batch_norm(y, self.norm.running_mean, self.norm.running_var) if twice == "functional" else y * scale
            return y * 2 if twice else y

    network = double(Flagged(None))
    for example in ((image, True), {"x": image, "twice": False}):
        assert folded(fold(network, example=example)) == ["norm"]
    surgery = fold(network, example={"x": image, "twice": "functional"})
    assert isinstance(surgery.model, torch.fx.GraphModule)
    want = network(image, "functional")
    assert error(surgery.model(x=image, twice="functional"), want) <= 1e-12


def test_a_module_that_is_also_called_past_its_sequential_is_left():
    class Past(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = nn.Sequential(conv(), nn.BatchNorm2d(3))

        def forward(self, x):
            return self.block(x) + (self.block[0](x) if x.sum() > -1e9 else x)

    check(double(Past()), image, [])


def test_a_hook_between_neighbours_is_not_overlooked():
    class Untraceable(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = nn.Sequential(conv(), nn.Identity(), nn.BatchNorm2d(3))

        def forward(self, x):
            return self.block(x if x.sum() > -1e9 else -x)

    check(double(Untraceable()), image, ["block.2"])
    check(hooked(double(Untraceable()), "block.1"), image, [])


def test_a_compiled_part_without_normalization_is_no_obstacle():
    network = nn.Sequential(torch.compile(conv().double(), backend="eager"), double(nn.BatchNorm2d(3))).eval()
    check(network, image, [])


def test_a_weight_that_is_also_used_past_its_module_is_left():
    class Past(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = nn.Sequential(conv(), nn.BatchNorm2d(3))

        def forward(self, x):
            return self.block(x) + F.conv2d(x if x.sum() > -1e9 else -x, self.block[0].weight)

    surgery = check(double(Past()), image, [])
    assert "its weight is used elsewhere too" in why(surgery, "block.1")


def test_masks_and_residuals():
    class Masked(Calls):
        def forward(self, x, mask):
            return self.norm(self.conv(x), residual=x, mask=mask)

    class Residual(Calls):
        def forward(self, x, mask):
            return self.norm(self.conv(x), x)

    mask = torch.rand(4, 8, 8) > 0.5
    for cls, gone in ((Masked, 0), (Residual, 1)):
        network = double(cls(None, norm=nw.BatchNorm2d(3, activation="leaky_relu:0.2")))
        surgery = fold(network, example=(image, mask))
        assert error(surgery.model(image, mask), network(image, mask)) <= 1e-12
        assert len(folded(surgery)) == gone


def test_what_stays_of_a_fused_layer_is_called_as_the_layer_was():
    layer = double(nw.BatchNorm2d(3, activation="relu"))
    layer.running_mean.zero_(), layer.running_var.fill_(1 - layer.eps), layer.weight.data.fill_(1)
    layer.bias.data.zero_()
    mask, residual = torch.rand(4, 8, 8) > 0.5, torch.randn_like(image)
    for given in ({}, {"residual": residual}, {"mask": mask}, {"residual": residual, "mask": mask}):
        torch.testing.assert_close(Epilogue("relu")(image, **given), layer(image, **given))


def test_the_same_residual_as_input_is_not_scaled():
    class Doubled(Calls):
        def forward(self, x):
            y = self.conv(x)
            return self.norm(y, residual=y)

    check(double(Doubled(None, norm=nw.BatchNorm2d(3))), image, [])


class Functions(nn.Module):
    """Calls of ``F.batch_norm`` of all kinds."""

    def __init__(self, training=False, scale=1):
        super().__init__()
        self.conv, self.inner = conv(), nn.BatchNorm2d(3)
        self.batch, self.scale = training, scale

    def forward(self, x, extra=None):
        x = self.conv(x) if extra is None else x
        weight = self.inner.weight if self.scale == 1 else self.inner.weight * self.scale
        return F.batch_norm(
            x, self.inner.running_mean, self.inner.running_var, weight=weight, training=self.batch, eps=0.1
        )


def test_a_function_becomes_part_of_the_convolution():
    network = double(Functions())
    surgery = fold(network, example=image)
    assert error(surgery.model(image), network(image)) <= 1e-12
    assert [change.before for change in surgery.changes if change.name in folded(surgery)] == ["F.batch_norm"]
    assert isinstance(surgery.model, torch.fx.GraphModule)
    assert list(network._modules) == ["conv", "inner"]


@pytest.mark.parametrize(("options", "reason"), [({"training": True}, "each batch"), ({"scale": 2}, "computed")])
def test_a_function_with_other_moments_is_reported(options, reason):
    network = nn.Sequential(double(Functions(**options)), conv().double(), nn.BatchNorm2d(3).double()).eval()
    surgery = fold(network, example=image)
    assert error(surgery.model(image), expected(network, image)) <= 1e-12
    assert reason in why(surgery, "")


def test_inputs_and_outputs_of_all_kinds():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = nn.Sequential(conv(), nn.BatchNorm2d(3))

        def forward(self, x, *, factor):
            return {"y": [self.block(x)], "more": (x * factor, "text")}

    network = double(Named())
    surgery = fold(network, example={"x": image, "factor": torch.tensor(2.0).double()})
    assert folded(surgery) == ["block.1"]


def test_an_example_is_not_changed_by_a_network_that_writes_into_it():
    network = chain(nn.ReLU(inplace=True), conv(), nn.BatchNorm2d(3))
    x = image.clone()
    fold(network, example=x)
    same_bits(x, image)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype):
    entry = ZOO["resnet"]
    network = randomize(entry.make()).to(dtype)
    surgery = fold(network, example=entry.example().to(dtype))
    assert len(folded(surgery)) == entry.foldable
    assert {parameter.dtype for parameter in surgery.model.parameters()} == {dtype}


def test_flags_of_parameters_stay_and_memory_formats_too():
    network = chain(conv(3), nn.BatchNorm2d(3)).to(memory_format=torch.channels_last)
    network[0].weight.requires_grad_(False)
    made = fold(network, example=image).model
    assert not made[0].weight.requires_grad
    assert made[0].bias.requires_grad
    assert made[0].weight.stride() == network[0].weight.stride()


def test_in_place_changes_the_network_itself():
    network = chain(conv(), nn.BatchNorm2d(3), nn.ReLU()).train()
    y, first = expected(network, image), network[0]
    surgery = fold(network, example=image, inplace=True)
    assert surgery.model is network
    assert network[0] is first
    assert type(network[1]) is nn.Identity
    assert not network.training
    assert error(network(image), y) <= 1e-12


def test_a_difference_beyond_the_tolerance_says_where_and_leaves_the_network():
    network = randomize(ZOO["resnet"].make()).train()
    with pytest.raises(SurgeryError, match=r"differs .* more than tolerance=0; first at \S+ \d"):
        fold(network, example=ZOO["resnet"].example(), tolerance=0.0, inplace=True)
    assert network.training
    assert isinstance(network.bn1, nn.BatchNorm2d)


def test_the_network_may_itself_be_the_normalization():
    network = double(nn.BatchNorm2d(3))
    surgery = fold(network, example=image)
    assert type(surgery.model) is ChannelAffine
    assert error(surgery.model(image), network(image)) <= 1e-12


def test_a_large_mean_costs_no_digits_in_what_stays():
    network = chain(nn.ReLU(), nn.BatchNorm2d(64)).float()
    network[1].running_mean.fill_(1e4)
    x = (1e4 + torch.randn(64, 64, 8, 8)).float()
    assert error(fold(network, example=x, tolerance=1e-3).model(x), network.double()(x.double())) <= 1e-6


def test_folding_again_finds_nothing_more():
    made = fold(chain(nn.BatchNorm2d(3), conv(3, padding=1)), example=image).model
    again = fold(made, example=image).model
    same_bits(again(image), made(image))


REFUSED = {
    "none": (lambda: chain(conv(), nn.LayerNorm(8)), r"found none \(normalizations in the network: LayerNorm × 1\)"),
    "of batches": (lambda: chain(conv(), nn.BatchNorm2d(3, track_running_stats=False)), "no running statistics"),
    "another shape": (lambda: chain(nn.Linear(3, 3), nn.BatchNorm1d(3)), r"example of shape \(4, 3, 8, 8\)"),
    "compiled": (lambda: torch.compile(chain(conv(), nn.BatchNorm2d(3))), "compiled or scripted"),
    "not finite": (lambda: broken(chain(conv(), nn.BatchNorm2d(3))), "its statistics, weight or bias are not finite"),
    "lazy": (lambda: nn.Sequential(nn.LazyConv2d(3, 1), nn.LazyBatchNorm2d()), "run the network once"),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case):
    make, message = REFUSED[case]
    with pytest.raises(SurgeryError, match=message):
        fold(make(), example=image)


def test_a_network_whose_outputs_cannot_be_compared_is_refused():
    class Counts(Calls):
        def forward(self, x):
            return self.norm(self.conv(x)).argmax()

    with pytest.raises(SurgeryError, match="no floating-point tensor"):
        fold(double(Counts(None)), example=image)


THEIRS = {
    "a convolution called twice": lambda: double(Calls(ONE_USE["the convolution twice, added"][0])),
    "transposed": lambda: chain(nn.ConvTranspose2d(3, 3, 2), nn.BatchNorm2d(3)),
    "before the convolution": lambda: chain(nn.BatchNorm2d(3), conv(3)),
    "a subclass": lambda: chain(conv(), type("Mine", (nn.BatchNorm2d,), {})(3)),
    "its output too": lambda: double(Calls(ONE_USE["its output too"][0])),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")
@pytest.mark.parametrize("case", THEIRS)
@pytest.mark.parametrize(
    "who", ["ours", pytest.param("torch", marks=pytest.mark.xfail(reason="pytorch#197539, #122070"))]
)
def test_what_torch_folds_wrongly_or_not_at_all(case, who):
    network = THEIRS[case]()
    if who == "torch":
        from torch.fx.experimental.optimization import fuse

        made = fuse(network)
    else:
        made = fold(network, example=image).model
    assert error(made(image), network(image)) <= 1e-12
    assert not any(isinstance(module, _BatchNorm) for module in made.modules())


@pytest.mark.parametrize("traceable", [True, False])
def test_a_hook_around_the_convolution_alone_keeps_its_values(traceable):
    net, seen = nn.Sequential(nn.Sequential(nn.Conv2d(3, 3, 1)), nn.BatchNorm2d(3)).eval(), []
    x = torch.randn(4, 3, 5, 5)
    net[1].running_mean.normal_()
    net[0].register_forward_hook(lambda module, given, y: seen.append(y))
    if not traceable:
        net.append(Branch())
    folded = nw.fold(net, example=x).model
    seen.clear()
    torch.testing.assert_close(folded(x), net(x))
    torch.testing.assert_close(seen[0], seen[1])


class Branch(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else x * 2


def test_functions_in_a_network_with_tensors_and_attributes_of_its_own():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.note = nn.Conv2d(3, 3, 1), "kept"
            self.register_buffer("mean", torch.randn(3))
            self.register_buffer("var", torch.rand(3) + 1)

        def forward(self, x):
            y = nn.functional.batch_norm(self.conv(x), self.mean, self.var)
            return y * torch.tensor([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1)

    net, x = Own().eval(), torch.randn(4, 3, 5, 5)
    model = nw.fold(net, example=x).model
    torch.testing.assert_close(model(x), net(x), rtol=1e-5, atol=1e-5)
    assert model.note == "kept"
    assert set(dict(net.named_modules())) == {"", "conv"}
