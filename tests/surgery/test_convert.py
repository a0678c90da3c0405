from __future__ import annotations

import copy
import io
import pickle
import random

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

import normwise as nw
from normwise.errors import InvalidArgumentError, SurgeryError
from normwise.surgery import convert
from tensors import same_bits
from zoo import ZOO, randomize

NORMED = {name: entry for name, entry in ZOO.items() if entry.norms}
THEIRS = {name: entry for name, entry in NORMED.items() if name not in ("fused", "sequence_bn")}
EXACT = {nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d}
OURS = {nw.BatchNorm1d, nw.BatchNorm2d, nw.BatchNorm3d}


@pytest.fixture(params=THEIRS.values(), ids=str)
def entry(request):
    return request.param


def made(entry):
    return randomize(entry.make()), entry.example()


def modes(net):
    return [(name, module.training) for name, module in net.named_modules(remove_duplicate=False)]


def kinds(net):
    first = {}
    named = list(net.named_modules(remove_duplicate=False))
    for name, module in named:
        first.setdefault(module, name)
    return [(name, first[module], type(module)) for name, module in named]


def snapshot(net):
    """Everything about a network but what it computes."""
    modules = list(net.modules())
    return {
        "kinds": kinds(net),
        "modes": modes(net),
        "repr": repr(net),
        "attributes": [sorted(vars(module)) for module in modules],
        "hooks": [[len(getattr(m, k)) for k in vars(m) if k.endswith("_hooks")] for m in modules],
        "persistence": [module._non_persistent_buffers_set for module in modules],
        "parameters": [(name, p.requires_grad, p.dtype, p.device) for name, p in net.named_parameters()],
        "buffers": [(name, b.dtype, b.device) for name, b in net.named_buffers()],
        "metadata": net.state_dict()._metadata,
    }


def state(net):
    return copy.deepcopy(net.state_dict())


def run(net, x, training):
    """Outputs, gradients of inputs and parameters, and statistics after a step, from one state of the generator."""
    torch.manual_seed(3)
    net = copy.deepcopy(net).train(training)
    x = x.clone().requires_grad_() if x.is_floating_point() else x
    y = net(x)
    upstream = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=y.dtype)
    y.backward(upstream)
    gradients = {name: p.grad for name, p in net.named_parameters()} | {"x": x.grad}
    return y, gradients, {name: b for name, b in net.named_buffers() if not name.endswith("skipped")}


def close(got, want, digits=1e-10):
    torch.testing.assert_close(got, want, rtol=digits, atol=digits)


def batch():
    return torch.randn(4, 3, 5, 2)


def small(**options):
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, **options), nn.ReLU(inplace=True))
    return randomize(net)


def why(surgery, name):
    return next(change.why for change in surgery.changes if change.name == name and change.before != name)


# Converting


def test_outputs_gradients_and_statistics_stay_and_so_does_the_network(entry):
    net, x = made(entry)
    net, x = net.double(), x.double() if x.is_floating_point() else x
    before, numbers = snapshot(net), state(net)
    surgery = convert(net, "normwise", example=x)
    assert snapshot(net) == before
    same_bits(state(net), numbers)
    same_bits(state(surgery.model), numbers)
    assert list(surgery.model.state_dict()) == list(numbers)
    assert surgery.model.state_dict()._metadata == net.state_dict()._metadata
    assert modes(surgery.model) == modes(net)
    assert [(a, b) for a, b, _ in kinds(surgery.model)] == [(a, b) for a, b, _ in kinds(net)]
    exact = [module for module in net.modules() if type(module) in EXACT]
    assert len(exact) == sum(type(module) in OURS for module in surgery.model.modules()) > 0
    for training in (True, False):
        close(run(surgery.model, x, training), run(net, x, training))


def test_to_normwise_and_back_is_the_identity(entry):
    net, x = made(entry)
    before, numbers = snapshot(net), state(net)
    model = convert(convert(net, "normwise").model, "torch").model
    assert snapshot(model) == before
    same_bits(state(model), numbers)
    torch.manual_seed(0)
    want = net(x)
    torch.manual_seed(0)
    same_bits(model(x), want)


def test_the_layer_stays_the_object_that_it_is_with_all_that_it_has():
    net = small(eps=1e-3, momentum=None)
    layer = net[1]
    layer.extra, layer.training = "kept", False
    layer.weight.requires_grad_(False)
    seen = []
    handle = layer.register_forward_hook(lambda module, args, y: seen.append(type(module)))
    tensors = {**layer._parameters, **layer._buffers}
    assert convert(net, "normwise", inplace=True).model is net
    assert net[1] is layer
    assert type(layer) is nw.BatchNorm2d
    assert all(getattr(layer, name) is tensor for name, tensor in tensors.items())
    assert (layer.extra, layer.training, layer.eps, layer.momentum) == ("kept", False, 1e-3, None)
    assert not layer.weight.requires_grad
    assert repr(layer) == repr(nw.BatchNorm2d(4, eps=1e-3, momentum=None))
    net(batch())
    handle.remove()
    net(batch())
    assert seen == [nw.BatchNorm2d]


@pytest.mark.parametrize(
    "options", [{"affine": False}, {"track_running_stats": False}, {"momentum": 0.5}, {"eps": 0.1}]
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float32])
def test_a_converted_layer_is_as_one_that_was_made(options, dtype):
    theirs = randomize(nn.BatchNorm2d(3, **options).to(dtype))
    layer, made = convert(theirs, "normwise").model, nw.BatchNorm2d(3, **options, dtype=dtype)
    assert repr(layer) == repr(made)
    assert vars(layer).keys() == vars(made).keys()
    assert layer._momentum_tensor == made._momentum_tensor
    made.load_state_dict(theirs.state_dict())
    assert snapshot(layer) == snapshot(made)
    x = batch().to(dtype)
    same_bits(layer(x), made(x))
    same_bits(dict(layer.named_buffers()), dict(made.named_buffers()))


def test_a_layer_that_is_the_network_is_converted_in_its_place():
    layer = nn.BatchNorm1d(3)
    assert convert(layer, "normwise", inplace=True).model is layer
    assert type(layer) is nw.BatchNorm1d


def test_the_guard_of_our_layer_works_after_converting():
    layer = convert(nn.BatchNorm2d(3), "normwise").model
    layer(torch.full((2, 3, 2, 2), torch.nan))
    assert layer.skipped.tolist() == [1, 1, 1]
    assert layer.running_mean.isfinite().all()


def test_what_is_skipped_stays():
    net = nn.Sequential(small(), small())
    surgery = convert(net, "normwise", skip=["1"])
    assert [type(module) for module in surgery.model.modules() if isinstance(module, _BatchNorm)] == [
        nw.BatchNorm2d,
        nn.BatchNorm2d,
    ]
    assert [change.name for change in surgery.changes] == ["0.1"]


def test_a_frozen_layer_stays_frozen_and_its_layer_is_converted():
    net = nw.freeze(small()).model
    x = batch()
    want = net(x)
    model = convert(net, "normwise").model
    assert isinstance(model[1], nw.FrozenBatchNorm)
    close(model.train()(x), want, 1e-5)
    assert snapshot(convert(model, "torch").model) == snapshot(net)
    unfrozen = nw.unfreeze(model).model
    assert type(unfrozen[1]) is nw.BatchNorm2d
    assert unfrozen[1].training
    assert all(p.requires_grad for p in unfrozen[1].parameters())


def test_frozen_layers_are_fused():
    net = nw.freeze(small()).model
    model = convert(net, "normwise", fuse=True, example=batch()).model
    assert nw.unfreeze(model).model[1].activation == "relu"


# What is left alone


class Wide(nn.BatchNorm2d):
    pass


class Keyword(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.other = nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, x):
        return self.other(self.norm(input=x))


def odd(**attributes):
    layer = nn.BatchNorm2d(3)
    vars(layer).update(attributes)
    return layer


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (Wide(3), "Wide is a subclass, which may do something else"),
        (nn.SyncBatchNorm(3), "its statistics are synchronised"),
        (nn.LazyBatchNorm2d(), "unknown until it has seen a batch"),
        (nn.utils.parametrize.register_parametrization(nn.BatchNorm2d(3), "weight", nn.Softplus()), "is a subclass"),
        (odd(forward=lambda x: x), "a forward of its own"),
        (odd(activation="mine"), "its attributes activation are options of normwise's layer"),
        (odd(momentum=-1.0), "momentum must be between 0 and 1"),
        (odd(eps=-1.0), "its eps is negative"),
    ],
)
def test_what_may_do_more_is_left_and_reported(layer, reason):
    kind = type(layer)
    surgery = convert(nn.Sequential(layer, nn.BatchNorm2d(3)), "normwise")
    assert type(surgery.model[0]) is kind
    assert type(surgery.model[1]) is nw.BatchNorm2d
    assert "left alone" in why(surgery, "0")
    assert reason in why(surgery, "0")
    with pytest.raises(SurgeryError, match="nothing to convert"):
        convert(nn.Sequential(layer), "normwise")


def test_a_call_by_keyword_goes_on():
    net, x = Keyword(), torch.randn(4, 3, 5, 5)
    surgery = convert(net, "normwise", example=x)
    assert type(surgery.model.norm) is nw.BatchNorm2d
    torch.testing.assert_close(surgery.model(x), net(x))


def test_other_normalizations_are_not_touched():
    net = nn.Sequential(nn.BatchNorm2d(4), nn.InstanceNorm2d(4, affine=True), nn.GroupNorm(2, 4))
    surgery = convert(net, "normwise")
    assert [type(module) for module in surgery.model[1:]] == [nn.InstanceNorm2d, nn.GroupNorm]
    assert len(surgery.changes) == 1


@pytest.mark.parametrize("name", [name for name in ZOO if name not in THEIRS])
def test_nothing_to_convert_says_what_was_looked_for(name):
    net, x = made(ZOO[name])
    with pytest.raises(
        SurgeryError, match=r"looked for batch normalizations of torch's .*normalizations in the network"
    ):
        convert(net, "normwise", example=x)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_bad_requests():
    net = small()
    with pytest.raises(InvalidArgumentError, match="unknown target of convert 'pytorch'; did you mean 'torch'"):
        convert(net, "pytorch")
    with pytest.raises(InvalidArgumentError, match="fuse=True needs to='normwise'"):
        convert(net, "torch", fuse=True)
    with pytest.raises(SurgeryError, match="unknown module 'nowhere'"):
        convert(net, "normwise", skip=["nowhere"])
    with pytest.raises(SurgeryError, match="does not run on the example of shape"):
        convert(net, "normwise", example=torch.randn(4, 2, 5, 2), inplace=True)
    assert type(net[1]) is nn.BatchNorm2d
    with pytest.raises(SurgeryError, match="convert the network that it was made from"):
        convert(nn.Sequential(torch.compile(net)), "normwise")


# To torch


def test_an_activation_goes_to_a_module_of_its_own_and_the_new_names_are_told():
    net = randomize(nn.Sequential(nn.Conv2d(3, 4, 1), nw.BatchNorm2d(4, activation="leaky_relu:0.2")))
    x = batch()
    surgery = convert(net, "torch", example=x)
    assert [type(module) for module in surgery.model[1]] == [nn.BatchNorm2d, nn.LeakyReLU]
    assert surgery.renamed == {"1": "1.norm"}
    same_bits(surgery.model.state_dict()["1.norm.weight"], net[1].weight.detach())
    close(surgery.model(x), net(x), 1e-5)
    alone = convert(net[1].eval(), "torch").model
    assert [type(module) for module in alone] == [nn.BatchNorm2d, nn.LeakyReLU]
    assert not any(module.training for module in alone.modules())


class Called(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two, self.three = (nw.BatchNorm2d(3) for _ in range(3))

    def forward(self, x):
        mask = x[:, 0] > 0
        return self.three(self.two(self.one(x), residual=x), mask=mask)


def test_what_torch_s_layer_cannot_do_is_left_and_reported():
    surgery = convert(Called(), "torch")
    kinds = {name: type(module) for name, module in surgery.model.named_children()}
    assert kinds == {"one": nn.BatchNorm2d, "two": nw.BatchNorm2d, "three": nw.BatchNorm2d}
    assert all("called with a residual or a mask" in why(surgery, name) for name in ("two", "three"))


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (nw.BatchNorm2d(3, channel_dim=-1), "torch's layer has no channel_dim=-1"),
        (nw.BatchNorm2d(3, small_batch="running"), "torch's layer has no small_batch='running'"),
        (nw.freeze(nw.BatchNorm2d(3, activation="relu")).model, "unfreeze the network first"),
        (type("Mine", (nw.BatchNorm2d,), {})(3), "Mine is a subclass"),
    ],
)
def test_options_that_torch_s_layer_lacks_are_left_and_reported(layer, reason):
    surgery = convert(nn.Sequential(layer, nw.BatchNorm2d(3)), "torch")
    assert type(surgery.model[0]) is type(layer)
    assert reason in why(surgery, "0")
    assert type(surgery.model[1]) is nn.BatchNorm2d


def test_statistics_that_are_being_pooled_are_left():
    layer = nw.BatchNorm2d(3)
    with nw.pooled_statistics(layer), pytest.raises(SurgeryError, match="are being pooled"):
        convert(layer, "torch", inplace=True)


class Shared(nn.Module):
    """A module that two layers share, one of which also needs another one."""

    def __init__(self, layer, *modules):
        super().__init__()
        self.one, self.two, self.modules_ = layer(), layer(), nn.ModuleList(modules)

    def forward(self, x):
        both, only = self.modules_
        return only(self.one(both(self.one(both(self.two(x))))))


def test_an_identity_that_serves_two_activations_stays_one():
    net, x = Shared(lambda: nw.BatchNorm2d(3, activation="relu"), nn.Identity(), nn.Identity()), batch()
    net.two.activation = "sigmoid"
    model = convert(net, "torch").model
    assert type(model.modules_[0]) is nn.Identity
    close(run(model, x, True)[0], run(net, x, True)[0], 1e-5)


# Fusing


class Residual(nn.Module):
    """All ways to add and to activate that are written in networks."""

    def __init__(self, way):
        super().__init__()
        self.conv, self.norm, self.way = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), way
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.way(self, self.norm(self.conv(x)), x)


def added_in_place(net, y, x):
    y += x
    return net.act(y)


RESIDUALS = {
    "plus": lambda net, y, x: F.relu(y + x),
    "plus from the right": lambda net, y, x: F.gelu(x + y, approximate="tanh"),
    "in place": added_in_place,
    "torch.add": lambda net, y, x: torch.sigmoid(torch.add(y, x)),
    "add as a method": lambda net, y, x: y.add(x).tanh(),
    "method in place": lambda net, y, x: y.add_(x).relu_(),
    "made afterwards": lambda net, y, x: F.silu(y + x.square()),
    "silu in place": lambda net, y, x: F.silu(y + x, inplace=True),
}
FUNCTIONS = {
    "relu": lambda net, y, x: F.relu(y),
    "relu, positional": lambda net, y, x: F.relu(y, True),
    "torch.relu": lambda net, y, x: torch.relu(y),
    "method": lambda net, y, x: y.relu(),
    "leaky": lambda net, y, x: F.leaky_relu(y, 0.2),
    "leaky, keyword": lambda net, y, x: F.leaky_relu(y, negative_slope=0.3, inplace=True),
    "leaky, default": lambda net, y, x: F.leaky_relu(y),
    "elu": lambda net, y, x: F.elu(y, alpha=0.5),
    "relu6": lambda net, y, x: F.relu6(y),
    "gelu": lambda net, y, x: F.gelu(y),
    "hardswish": lambda net, y, x: F.hardswish(y),
    "mish": lambda net, y, x: F.mish(y),
    "module that serves twice": lambda net, y, x: net.act(net.act(y).neg()),
}


def the_same(surgery, net, x):
    for training in (True, False):
        close(run(surgery.model, x, training), run(net, x, training), 1e-10 if x.dtype is torch.float64 else 1e-4)


@pytest.mark.parametrize("way", [*RESIDUALS, *FUNCTIONS])
def test_functions_and_additions_become_one_call_in_a_graph(way):
    net, x = randomize(Residual((RESIDUALS | FUNCTIONS)[way])).double(), torch.randn(4, 3, 5, 2).double()
    net.eval()
    net.conv.train()
    net.unused = nn.BatchNorm2d(2)
    net.note = "kept"
    surgery = convert(net, "normwise", fuse=True, example=x)
    model = surgery.model
    assert isinstance(model, torch.fx.GraphModule)
    assert model.norm.activation
    assert ("residual" in model.code) == (way in RESIDUALS)
    assert surgery.changes[-1][:3] == ("", "Residual", "GraphModule")
    assert modes(model) == modes(net)
    assert list(model.state_dict()) == list(net.state_dict())
    assert type(model).__name__ == "Residual"
    assert model.note == "kept"
    the_same(surgery, net, x)
    assert vars(copy.deepcopy(model)).keys() == vars(model).keys()


@pytest.mark.parametrize("name", ["vgg_bn", "mobilenet_v2", "densenet", "shared", "alias", "unet"])
def test_where_modules_are_all_it_takes_the_network_keeps_its_class(name):
    net, x = made(NORMED[name])
    net, x = net.double(), x.double()
    surgery = convert(net, "normwise", fuse=True, example=x)
    if name != "unet":
        assert type(surgery.model) is type(net)
    assert list(surgery.model.state_dict()) == list(net.state_dict())
    idle = [change.name for change in surgery.changes if change.after == "Identity"]
    assert idle
    assert all(type(surgery.model.get_submodule(each)) is nn.Identity for each in idle)
    assert any(module.activation for module in surgery.model.modules() if type(module) in OURS)
    the_same(surgery, net, x)


def test_an_activation_that_another_layer_needs_stays():
    net, x = randomize(Shared(lambda: nn.BatchNorm2d(3), nn.ReLU(), nn.Sigmoid())).double(), batch().double()
    surgery = convert(net, "normwise", fuse=True, example=x)
    assert type(surgery.model.modules_[0]) is nn.ReLU
    the_same(surgery, net, x)


def test_identities_have_the_mode_of_the_activations():
    net = small().eval()
    assert modes(convert(net, "normwise", fuse=True).model) == modes(net)


def test_a_subclass_of_ours_is_not_fused():
    net = nn.Sequential(type("Mine", (nw.BatchNorm2d,), {})(3), nn.ReLU(), nn.BatchNorm2d(3))
    surgery = convert(net, "normwise", fuse=True)
    assert surgery.model[0].activation is None
    assert "not fused: Mine is a subclass" in why(surgery, "0")


def test_hooks_inside_a_module_that_is_called_whole_go_on():
    net, x = Modules(lambda net, x: net.inside(torch.tanh(net.norm(x)))), batch()
    calls = []
    net.inside.norm.register_forward_hook(lambda *args: calls.append(1))
    surgery = convert(net, "normwise", fuse=True)
    assert surgery.model.norm.activation == "tanh"
    surgery.model(x)
    assert calls == [1]


def test_a_sequential_in_a_network_that_cannot_be_traced_is_not_trusted():
    """Its forward may call the children of one by themselves."""
    net, x = made(NORMED["branching"])
    surgery = convert(net, "normwise", fuse=True, example=x)
    assert not any(module.activation for module in surgery.model.modules() if type(module) in OURS)
    whole = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), net.get_submodule("plain"))
    assert convert(whole, "normwise", fuse=True).model[1].activation == "relu"


class Impure(nn.Module):
    def __init__(self, rule):
        super().__init__()
        self.conv, self.norm, self.rule = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), rule
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        return torch.relu(self.norm(self.conv(x))) + self.rule(self)


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (lambda net: torch.randn(1), "draws random numbers"),
        (lambda net: random.random(), "draws random numbers"),
        (lambda net: (net._buffers["seen"].add_(1), 0)[1], "changes its buffers"),
    ],
    ids=["torch", "python", "buffers"],
)
def test_a_forward_that_a_graph_would_freeze_is_left(rule, reason):
    net = Impure(rule)
    before, state = net.seen.item(), torch.get_rng_state()
    surgery = convert(net, "normwise", fuse=True)
    assert type(surgery.model) is Impure
    assert reason in why(surgery, "norm")
    assert net.seen.item() == before
    assert torch.equal(torch.get_rng_state(), state)


def test_a_hook_around_a_layer_keeps_it_from_being_fused():
    net, x = nn.Sequential(nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)), nn.ReLU()), torch.randn(4, 3, 5, 5)
    net[0].register_forward_hook(lambda module, given, y: y * 2 + 1)
    surgery = convert(net, "normwise", fuse=True, example=x)
    assert surgery.model[0][1].activation is None
    torch.testing.assert_close(surgery.model(x), net(x))


@pytest.mark.parametrize("name", ["vgg_bn", "shared", "alias", "shared_pair", "subclassed", "densenet", "affine_false"])
def test_fusing_by_modules_is_undone_by_converting_to_torch(name):
    net, _ = made(NORMED[name])
    fused = convert(net, "normwise", fuse=True).model
    model = convert(fused, "torch").model
    for module in net.modules():
        module.inplace = False  # which a fused activation is not
    for module in model.modules():
        module.inplace = False
    assert snapshot(model) == snapshot(net)


@pytest.mark.parametrize("name", NORMED)
def test_fused_networks_compute_what_they_did(name):
    net, x = made(NORMED[name])
    net, x = net.double(), x.double() if x.is_floating_point() else x
    if name == "fused":
        with pytest.raises(SurgeryError, match="it has an activation already"):
            convert(net, "normwise", fuse=True, example=x)
        return
    surgery = convert(net, "normwise", fuse=True, example=x)
    assert list(surgery.model.state_dict()) == list(net.state_dict())
    assert modes(surgery.model)[0] == modes(net)[0]
    the_same(surgery, net, x)
    twin = copy.deepcopy(surgery.model)
    assert kinds(twin)[1:] == kinds(surgery.model)[1:]
    same_bits(run(twin, x, True)[0], run(surgery.model, x, True)[0])
    file = io.BytesIO()
    torch.save(surgery.model, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    assert list(loaded.state_dict()) == list(net.state_dict())
    same_bits(run(loaded, x, True)[0], run(surgery.model, x, True)[0])


def test_every_addition_of_a_resnet_is_taken_up():
    net, x = made(NORMED["resnet"])
    surgery = convert(net, "normwise", fuse=True, example=x)
    assert sum("the addition before it" in change.why for change in surgery.changes) == 3
    assert not any(node.target in (torch.add, F.relu) for node in surgery.model.graph.nodes)
    assert "iadd" not in surgery.model.code
    assert "+=" not in surgery.model.code


class Both(nn.Module):
    """Two normalizations are added; only one can take the other up."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, x):
        return torch.relu(self.left(x) + self.right(x))


def test_two_layers_that_are_added_become_one_call_with_a_residual():
    net, x = randomize(Both()).double(), batch().double()
    surgery = convert(net, "normwise", fuse=True, example=x)
    assert (surgery.model.left.activation, surgery.model.right.activation) == ("relu", None)
    assert "what another layer takes up" in why(surgery, "right")
    the_same(surgery, net, x)


class Odd(nn.Module):
    """What must not be fused."""

    def __init__(self, way):
        super().__init__()
        self.norm, self.act, self.way = nn.BatchNorm2d(3), nn.ReLU(), way

    def forward(self, x):
        return self.way(self, x)


def used_twice(net, x):
    y = net.norm(x)
    return net.act(y) + y


def into_another(net, x):
    z = x * 2
    z += net.norm(x)
    return F.relu(z)


def in_place_between(net, x):
    y = x * 2
    z = net.norm(y)
    return torch.relu(z + y.neg_())


def dependent(net, x):
    return F.dropout(F.relu(net.norm(x)), 0.5, net.training)


ODD = {
    "used twice": (used_twice, "2 calls take its output"),
    "used twice by one call": (lambda net, x: (y := net.norm(x)) * y, "takes its output twice"),
    "not in the table": (lambda net, x: F.softplus(net.norm(x)), "softplus() follows, no activation"),
    "added in place": (into_another, "added in place to something else"),
    "a number": (lambda net, x: F.relu(net.norm(x) + 1), "what is added is a number"),
    "broadcast": (lambda net, x: F.relu(net.norm(x) + x.mean((2, 3), keepdim=True)), "another shape"),
    "another type": (lambda net, x: F.relu(net.norm(x) + x.double()), "another shape or type"),
    "alpha": (lambda net, x: F.relu(torch.add(net.norm(x), x, alpha=2)), "add() follows, no activation"),
    "changed in between": (in_place_between, "the layer's input is changed in place before that"),
    "another activation": (lambda net, x: F.relu(net.norm(torch.tanh(net.norm(x)))), "different activations"),
    "mode": (dependent, "its forward depends on self.training"),
    "the output": (lambda net, x: net.norm(x), "the output follows"),
}


@pytest.mark.parametrize("way", ODD)
def test_what_cannot_be_fused_is_converted_and_says_why(way):
    net, x = Odd(ODD[way][0]), batch()
    surgery = convert(net, "normwise", fuse=True, example=x)
    assert type(surgery.model) is Odd
    assert type(surgery.model.norm) is nw.BatchNorm2d
    assert surgery.model.norm.activation is None
    assert ODD[way][1] in why(surgery, "norm").partition("not fused: ")[2]


class Inside(nn.Conv2d):
    """A linear map that normalizes, into which a trace does not look."""

    def __init__(self):
        super().__init__(3, 3, 1)
        self.norm, self.act = nn.BatchNorm2d(3), nn.ReLU()

    def forward(self, x):
        return self.norm(super().forward(x))


class Modules(nn.Module):
    def __init__(self, way):
        super().__init__()
        self.inside, self.norm, self.way = Inside(), nw.BatchNorm2d(3), way
        self.relu, self.sigmoid = nn.ReLU(), nn.Sigmoid()

    def forward(self, x):
        return self.way(self, x)


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
    assert "optional arguments (plain)" in why(surgery, "norm")


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


def test_hooks_of_a_block_are_not_lost_in_a_graph():
    net = nn.Sequential(randomize(Residual(RESIDUALS["plus"])))
    calls = []
    net[0].register_forward_hook(lambda *args: calls.append(1))
    surgery = convert(net, "normwise", fuse=True, example=batch())
    assert "would not run the hooks of 0" in why(surgery, "0.norm")
    calls.clear()
    surgery.model(batch())
    assert calls == [1]


class Tuned(Residual):
    """Keeps its normalization in evaluation."""

    def train(self, mode=True):
        super().train(mode)
        self.norm.eval()
        return self


def without_gradients(net, y, x):
    with torch.no_grad():
        z = x * 2
    return F.relu(y + z)


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (Tuned(FUNCTIONS["relu"]), "its class overrides train"),
        (Residual(without_gradients), "enters contexts"),
    ],
)
def test_a_forward_is_not_replaced_where_a_graph_would_lose_something(net, reason):
    surgery = convert(net, "normwise", fuse=True, example=batch())
    assert type(surgery.model) is type(net)
    assert reason in why(surgery, "norm")


def test_a_residual_needs_an_example_and_another_forward_a_copy():
    net, x = Residual(RESIDUALS["plus"]), batch()
    assert "give example=" in why(convert(net, "normwise", fuse=True), "norm")
    assert "use inplace=False" in why(convert(net, "normwise", fuse=True, example=x, inplace=True), "norm")
    assert type(net.norm) is nw.BatchNorm2d


def test_skipped_activations_stay():
    net = small()
    surgery = convert(net, "normwise", fuse=True, skip=["2"])
    assert type(surgery.model[2]) is nn.ReLU
    assert why(surgery, "1").endswith("not fused: 2 (ReLU) is skipped")


def test_the_check_on_an_example_can_fail(monkeypatch):
    monkeypatch.setattr("normwise.surgery.calls.activation_of", lambda module: None)
    monkeypatch.setattr(
        "normwise.surgery.converting.fusion._name", lambda module: "relu6" if type(module) is nn.ReLU else None
    )
    net = small()
    with pytest.raises(SurgeryError, match="outputs in evaluation would differ by"):
        convert(net, "normwise", fuse=True, example=10 * batch(), inplace=True)
    assert type(net[1]) is nn.BatchNorm2d


def test_the_random_generator_stays():
    net, before = small(), torch.get_rng_state()
    convert(net, "normwise", fuse=True, example=torch.ones(4, 3, 5, 2))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("inplace", [True, False])
def test_an_optimizer_follows(inplace):
    net, x = small(), batch()
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    twin = copy.deepcopy(net)
    other = torch.optim.SGD(twin.parameters(), 0.1, momentum=0.9)
    for each, optim in ((net, optimizer), (twin, other)):
        each(x).square().mean().backward()
        optim.step()
        optim.zero_grad()
    model = convert(net, "normwise", fuse=True, example=x, optimizer=optimizer, inplace=inplace).model
    for each, optim in ((model, optimizer), (twin, other)):
        each(x).square().mean().backward()
        optim.step()
    close(state(model), state(twin), 1e-5)


def test_sync_conversion_of_torch_drops_a_fused_activation_and_that_of_an_unfused_network_does_not():
    net = nn.Sequential(nw.BatchNorm2d(3, activation="relu"))
    dropped = nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(net)).eval()
    assert dropped(batch()).min() < 0
    kept = nn.SyncBatchNorm.convert_sync_batchnorm(convert(net, "torch").model).eval()
    assert kept(batch()).min() == 0


# What fusing in a graph must not break


class Parts(nn.Module):
    """A network whose parts are called by themselves too; the activation is done by another part than the norm."""

    def __init__(self, block):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
        self.block, self.act, self.listed = block, nn.SiLU(), nn.ModuleList([nn.Conv2d(3, 3, 1)])

    def forward(self, x):
        return self.listed[0](self.block(self.act(self.stem(x))))


def gelu(net, y, x):
    return F.gelu(y)


def parts():
    return randomize(Parts(Residual(gelu))).double()


def test_parts_refuse_to_be_called_by_themselves_where_they_would_compute_something_else():
    net, x = parts(), batch().double()
    surgery = convert(net, "normwise", fuse=True, example=x)
    the_same(surgery, net, x)
    for part in ("stem", "block"):
        with pytest.raises(SurgeryError, match=rf"{part} cannot be called by itself .*skip=\['{part}'\]"):
            surgery.model.get_submodule(part)(x)
    same_bits(surgery.model.listed[0](x), net.listed[0](x))
    for twin in (copy.deepcopy(surgery.model), pickle.loads(pickle.dumps(surgery.model))):
        with pytest.raises(SurgeryError, match="cannot be called by itself"):
            twin.stem(x)
    back = convert(surgery.model, "torch").model
    close(run(back, x, True)[0], run(net, x, True)[0])
    with pytest.raises(SurgeryError, match="cannot be called by itself"):
        back.block(x)


def test_a_part_that_keeps_its_modules_gives_what_it_gave():
    """In place nothing but modules can be fused, and these only in the part that calls both."""
    net, x = parts(), batch().double()
    net.block = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Tanh()).double()
    model = convert(net, "normwise", fuse=True, inplace=True).model
    fresh = copy.deepcopy(net)
    assert (model.stem[1].activation, model.block[1].activation) == (None, "tanh")
    assert type(model.act) is nn.SiLU
    same_bits(model.stem(x), fresh.stem(x))


def small_batch(net, y, x):
    return F.relu(y + x.mean(0, keepdim=True))


@pytest.mark.parametrize(
    ("way", "shape"),
    [
        (small_batch, (1, 3, 5, 2)),
        (lambda net, y, x: F.relu(y + x.mean((2, 3), keepdim=True)), (4, 3, 1, 1)),
        (lambda net, y, x: F.relu(y + x[:1]), (1, 3, 5, 2)),
    ],
)
def test_a_residual_that_another_batch_would_broadcast_is_left(way, shape):
    net, x = randomize(Residual(way)), batch()
    surgery = convert(net, "normwise", fuse=True, example=torch.randn(shape))
    assert surgery.model.norm.activation is None
    assert "cannot be told; give a larger one" in why(surgery, "norm")
    the_same(surgery, net, x)


def test_the_axis_of_the_channels_is_the_layer_s():
    net = Both()
    net.left = nw.BatchNorm2d(3, channel_dim=-1)
    net.right = nn.BatchNorm2d(1)
    assert "give a larger one" in why(convert(net, "normwise", fuse=True, example=torch.randn(4, 1, 2, 3)), "left")
    net.left, net.right = nw.BatchNorm2d(1, channel_dim=-1), nn.BatchNorm2d(2)
    assert convert(net, "normwise", fuse=True, example=torch.randn(4, 2, 2, 1)).model.left.activation == "relu"


def test_a_layer_that_has_a_residual_takes_no_second_one():
    net, x = Modules(lambda net, x: torch.relu(net.norm(x, residual=x) + x)), batch()
    surgery = convert(nn.Sequential(net, nn.BatchNorm2d(3)), "normwise", fuse=True, example=x)
    assert "two are added to it" in why(surgery, "0.norm")


def test_an_addition_of_a_parameter_is_left():
    net, x = Residual(lambda net, y, x: F.relu(y + net.offset)), batch()
    net.offset = nn.Parameter(torch.randn(4, 3, 5, 2))
    surgery = convert(net, "normwise", fuse=True, example=x)
    assert "a tensor of the network's own" in why(surgery, "norm")
    surgery.model(batch()[:1])


def changed_before(net, y, x):
    z = x * 2
    first = net.norm(x)
    z.neg_()
    return F.relu(first + z)


def changed_after(net, y, x):
    z = net.conv(x)
    first = F.relu(net.norm(x) + z)
    return first + F.relu(z, inplace=True)


def changed_after_by_keyword(net, y, x):
    z = net.conv(x)
    first = F.relu(net.norm(x) + z)
    return first + net.act(input=z)


def view_changed_after(net, y, x):
    z = net.conv(x)
    first = F.relu(net.norm(x) + z)
    z[:, 0].mul_(2)
    return first * z


@pytest.mark.parametrize("way", [changed_before, changed_after, changed_after_by_keyword, view_changed_after])
def test_a_residual_that_changes_in_place_is_left(way):
    net, x = randomize(Odd(lambda net, x: way(net, None, x))), batch()
    net.conv, net.act = nn.Conv2d(3, 3, 1), nn.ReLU(inplace=True)
    surgery = convert(net, "normwise", fuse=True, example=x)
    assert "what is added is changed in place later" in why(surgery, "norm")
    the_same(surgery, net, x)


def other_changed_between(net, y, x):
    z = x * 2
    first = net.norm(x)
    return torch.relu(first + net.conv(x)) + z.neg_()


def made_in_place_afterwards(net, y, x):
    return torch.relu(net.norm(x) + F.relu(net.conv(x), inplace=True))


def changed_before_a_later_addition(net, y, x):
    first = net.norm(x)
    z = net.conv(x)
    z.neg_()
    return torch.relu(first + z)


@pytest.mark.parametrize("way", [other_changed_between, made_in_place_afterwards, changed_before_a_later_addition])
def test_other_changes_in_place_do_not_matter(way):
    net, x = randomize(Odd(lambda net, x: way(net, None, x))).double(), batch().double()
    net.conv = nn.Conv2d(3, 3, 1).double()
    surgery = convert(net, "normwise", fuse=True, example=x)
    assert surgery.model.norm.activation == "relu"
    the_same(surgery, net, x)


def test_a_layer_that_is_called_again_in_between_keeps_the_order_of_its_calls():
    def forward(net, x):
        first = net.norm(x)
        return torch.relu(first + torch.relu(net.norm(2 * x) + x))

    net, x = randomize(Odd(forward)).double(), batch().double()
    surgery = convert(net, "normwise", fuse=True, example=x)
    assert "the layer is called, or its statistics are read, before that" in why(surgery, "norm")
    the_same(surgery, net, x)


class Chained(Both):
    """What one of two fused calls gives changes in place before the other takes it."""

    def forward(self, x):
        other = self.left(x)
        one = self.right(x)
        other = F.silu(other)
        other.neg_()
        return torch.sigmoid(one + other)


def test_a_residual_that_another_fused_call_makes_is_read_when_it_was():
    net, x = randomize(Chained()).double(), batch().double()
    surgery = convert(net, "normwise", fuse=True, example=x)
    assert (surgery.model.left.activation, surgery.model.right.activation) == ("silu", "sigmoid")
    the_same(surgery, net, x)


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


class Reader(Both):
    def forward(self, x):
        one = self.left(x)
        return torch.relu(one + (x + self.left.running_mean.sum()))


def test_statistics_that_are_read_in_between_keep_their_order():
    net, x = randomize(Reader()).double(), batch().double()
    surgery = convert(net, "normwise", fuse=True, example=x)
    assert "its statistics are read, before that" in why(surgery, "left")
    the_same(surgery, net, x)
