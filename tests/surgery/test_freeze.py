from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import update_bn

import normwise as nw
from normwise.errors import InvalidArgumentError, SurgeryError
from normwise.surgery import batch_normalize, freeze, unfreeze
from tensors import same_bits

AXES = {
    "1d": ((6, 3), nn.Linear, nn.BatchNorm1d, nw.BatchNorm1d),
    "1d long": ((4, 3, 5), lambda i, o: nn.Conv1d(i, o, 1), nn.BatchNorm1d, nw.BatchNorm1d),
    "2d": ((4, 3, 5, 2), lambda i, o: nn.Conv2d(i, o, 1), nn.BatchNorm2d, nw.BatchNorm2d),
    "3d": ((4, 3, 2, 1, 2), lambda i, o: nn.Conv3d(i, o, 1), nn.BatchNorm3d, nw.BatchNorm3d),
}
PARTS = {
    "both": {},
    "statistics": {"affine": False},
    "affine": {"statistics": False},
}


class Wide(nn.BatchNorm2d):
    """A subclass with a forward, a parameter and a child of its own."""

    def __init__(self, features):
        super().__init__(features)
        self.slope = nn.Parameter(torch.rand(1))
        self.inner = nn.BatchNorm2d(features)

    def forward(self, x):
        return self.slope * super().forward(x) + self.inner(x)


@pytest.fixture(params=AXES.values(), ids=AXES)
def axes(request):
    return request.param


@pytest.fixture(params=["torch", "ours"])
def case(request, axes):
    """A network with a layer in two places, trained a little, with modes and flags of all kinds, and a batch."""
    shape, linear, theirs, ours = axes
    cls = theirs if request.param == "torch" else ours
    shared = nn.Sequential(cls(4), nn.ReLU())
    net = nn.Sequential(linear(3, 4), shared, linear(4, 4), cls(4, affine=False), shared, cls(4, momentum=None))
    return trained(net, torch.randn(shape)), torch.randn(shape)


def trained(net, x):
    net(x)
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    return net


def network():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nw.BatchNorm2d(4, activation="relu"))
    return trained(net, torch.randn(4, 3, 2, 2))


def batch():
    return torch.randn(4, 3, 2, 2)


def norms(net):
    return [module for module in net.modules() if isinstance(module, (_BatchNorm, nw.FrozenBatchNorm))]


def state(net):
    return copy.deepcopy(net.state_dict())


def snapshot(net):
    """Everything about a network but what it is made of: names, kinds, sharing, modes, flags, devices, attributes."""
    modules = list(net.named_modules(remove_duplicate=False))
    first = {module: name for name, module in reversed(modules)}
    return {
        "modules": [(name, first[module], type(module), module.training, repr(module)) for name, module in modules],
        "attributes": [(name, sorted(vars(module)), list(module._forward_hooks)) for name, module in modules],
        "parameters": [(name, p.requires_grad, p.dtype, p.device) for name, p in net.named_parameters()],
        "buffers": [(name, b.dtype, b.device) for name, b in net.named_buffers()],
        "metadata": net.state_dict()._metadata,
    }


def step(net, x, modes=True):
    """y and the gradients of x and of the parameters that want one."""
    x = x.detach().requires_grad_()
    y = net.train(modes)(x)
    upstream = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    return [y, *torch.autograd.grad(y, [x, *(p for p in net.parameters() if p.requires_grad)], upstream)]


# What frozen means


@pytest.mark.parametrize("options", [{}, {"affine": False}], ids=["both", "statistics"])
def test_training_computes_what_evaluation_did_and_changes_no_state(case, options):
    net, x = case
    want, before = copy.deepcopy(net).eval()(x), state(net)
    model = freeze(net, **options).model
    for _ in range(2):
        same_bits(model.train()(x), want)
    update_bn([x, x + 1], model)
    model = nn.SyncBatchNorm.convert_sync_batchnorm(model).train()
    same_bits(model(x), want)
    same_bits(state(model), before)


@pytest.mark.parametrize("options", PARTS.values(), ids=PARTS)
def test_gradients_are_those_of_evaluation(case, options):
    net, x = case
    model = freeze(net, **options).model
    own = {f"{name}{key}" for name in ("1.0.", "5.") for key in ("weight", "bias")}
    assert {name for name, p in model.named_parameters() if not p.requires_grad} == (
        own if options.get("affine", True) else set()
    )
    assert [*dict(model.named_parameters())] == [*dict(net.named_parameters())]
    twin = copy.deepcopy(net)
    for name, parameter in twin.named_parameters():
        parameter.requires_grad_(model.get_parameter(name).requires_grad)
    same_bits(step(model, x), step(twin, x, options.get("statistics") is False))
    assert all(p.grad is None for p in model.parameters())


def test_only_affine_leaves_the_modules_and_the_statistics_move(case):
    net, x = case
    kinds, before = [type(module) for module in net.modules()], state(net)
    model = freeze(net, statistics=False).model
    assert [type(module) for module in model.modules()] == kinds
    model(x)
    assert not torch.equal(model[5].running_mean, before["5.running_mean"])


TORCH_MOVES = pytest.mark.xfail(
    strict=True, reason="requires_grad=False does not stop statistics, train() undoes eval()"
)


@pytest.mark.parametrize(
    "stop",
    [
        pytest.param(lambda net: net.requires_grad_(False), marks=TORCH_MOVES, id="requires_grad"),
        pytest.param(lambda net: net.eval(), marks=TORCH_MOVES, id="eval"),
        pytest.param(lambda net: freeze(net).model, id="freeze"),
    ],
)
def test_fine_tuning_leaves_the_statistics(stop):
    net = stop(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)))
    net.train()
    net(batch())
    assert torch.equal(net[1].running_mean, torch.zeros(4))


def test_fine_tuning_trains_weight_and_bias_where_they_are_not_frozen(case):
    net, x = case
    before = state(net)
    model = freeze(net, affine=False).model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        y = model.train()(x)
        y.backward(torch.randn_like(y))
        optimizer.step()
    after = model.state_dict()
    moved = {name for name in before if not torch.equal(after[name], before[name])}
    assert moved == {name for name, _ in model.named_parameters(remove_duplicate=False)}


def test_a_layer_that_the_network_also_keeps_elsewhere_is_frozen_there_too():
    class ByHand(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm2d(3)
            self.layers = [self.norm]

        def forward(self, x):
            return self.layers[0](x)

    model = freeze(ByHand()).model.train()
    model(batch())
    assert torch.equal(model.norm.running_mean, torch.zeros(3))


# There and back


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("options", PARTS.values(), ids=PARTS)
def test_unfreeze_undoes_freeze(case, options, inplace):
    net, x = case
    net.double()
    net[5].eval()
    net[5].bias.requires_grad_(False)
    net[0].bias.requires_grad_(False)
    calls = []
    net[5].register_forward_hook(lambda *_: calls.append("hook"))
    before, tensors, modules = snapshot(net), state(net), list(net.modules())
    back = unfreeze(freeze(net, inplace=inplace, **options).model, inplace=inplace).model
    assert snapshot(back) == before
    same_bits(state(back), tensors)
    assert [a is b for a, b in zip(back.modules(), modules, strict=True)] == [inplace] * len(modules)
    x = x.double()
    same_bits(back.eval()(x), net.eval()(x))
    assert calls == ["hook"] * 2
    twin = copy.deepcopy(back)
    same_bits(step(back, x), step(twin, x))
    same_bits(state(back), state(twin))
    assert not torch.equal(back[5].running_mean, tensors["5.running_mean"])


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
@pytest.mark.parametrize("options", PARTS.values(), ids=PARTS)
def test_copies_of_a_frozen_network_are_unfrozen_too(options, clone):
    net = network()
    net[1].bias.requires_grad_(False)
    back = unfreeze(clone(freeze(net, **options).model)).model
    assert snapshot(back) == snapshot(net)
    same_bits(state(back), state(net))


@pytest.mark.parametrize("mode", [True, False])
def test_the_mode_is_that_of_the_frozen_network(mode):
    assert [norm.training for norm in norms(unfreeze(freeze(network()).model.train(mode)).model)] == [mode, mode]


def test_an_optimizer_keeps_working_in_place():
    net = network()
    optimizer = torch.optim.Adam(net.parameters())
    freeze(net, inplace=True, affine=False)
    net(batch()).square().mean().backward()
    optimizer.step()
    unfreeze(net, inplace=True)
    assert [*net.parameters()] == optimizer.param_groups[0]["params"]
    before = state(net)
    optimizer.step()
    assert not torch.equal(net[1].weight, before["1.weight"])


def test_what_was_trained_or_loaded_while_frozen_stays():
    net, other = network(), network()
    model = freeze(net).model
    model.load_state_dict(other.state_dict())
    same_bits(model(batch().fill_(0.5)), other.eval()(batch().fill_(0.5)))
    other.load_state_dict(model.state_dict())
    same_bits(state(unfreeze(model).model), state(other))


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("cls", [nn.BatchNorm2d, nw.BatchNorm2d])
def test_the_network_may_be_the_layer(cls, inplace):
    layer = cls(3)
    frozen = freeze(layer, inplace=inplace).model
    assert type(frozen) is nw.FrozenBatchNorm
    back = unfreeze(frozen, inplace=inplace)
    assert (type(back.model), back.model is layer) == (cls, inplace)
    assert back.model.weight.requires_grad


def test_a_subclass_and_what_is_in_it():
    net = trained(nn.Sequential(nn.Conv2d(3, 4, 1), Wide(4)), batch())
    x = batch()
    want, before = copy.deepcopy(net).eval()(x), state(net)
    model = freeze(net).model.train()
    assert [type(module) for module in model.modules()][2:] == [nw.FrozenBatchNorm] * 2
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {"0.weight", "0.bias"}
    same_bits(model(x), want)
    same_bits(state(model), before)
    assert snapshot(unfreeze(model).model) == snapshot(net)
    partly = freeze(net, skip="1.inner").model
    assert [type(module) for module in partly.modules()][2:] == [nw.FrozenBatchNorm, nn.BatchNorm2d]
    assert {name for name, p in partly.named_parameters() if not p.requires_grad} == {"1.weight", "1.bias", "1.slope"}


def test_a_parameter_that_two_layers_share():
    net = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(3))
    net[1].weight = net[0].weight
    twice = [freeze(freeze(net, skip=skip).model).model for skip in ("0", "1")]
    for model in (freeze(net).model, *twice):
        assert model[0].weight is model[1].weight
        back = unfreeze(model).model
        assert all(parameter.requires_grad for parameter in back.parameters())


def test_a_parametrized_weight():
    net = nn.Sequential(nn.BatchNorm2d(3))
    nn.utils.parametrize.register_parametrization(net[0], "weight", nn.Softplus())
    want = copy.deepcopy(net).eval()(batch().fill_(0.5))
    model = freeze(net).model.train()
    same_bits(model(batch().fill_(0.5)), want)
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert snapshot(unfreeze(model).model) == snapshot(net)


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_the_device_survives(device):
    model = freeze(network().to(device)).model
    assert {tensor.device.type for tensor in (*model.parameters(), *model.buffers())} == {device}


@pytest.mark.parametrize("operation", [freeze, lambda net: unfreeze(freeze(net).model), unfreeze])
def test_the_input_is_not_modified(operation):
    net = network() if operation is not unfreeze else freeze(network()).model
    before, tensors = snapshot(net), state(net)
    assert operation(net).model is not net
    assert snapshot(net) == before
    same_bits(state(net), tensors)


# What is chosen


def mixed():
    return nn.Sequential(
        nn.BatchNorm1d(3, track_running_stats=False), nn.LazyBatchNorm1d(), nn.BatchNorm1d(3), nn.BatchNorm1d(3),
        nn.InstanceNorm1d(3, affine=True, track_running_stats=True), nn.BatchNorm1d(3, affine=False), nn.Tanh(),
    )  # fmt: skip


UNKNOWN = "left alone: its number of features is unknown until it has seen a batch"


def test_says_what_it_did():
    net = freeze(mixed(), skip=["2", "5"]).model
    assert str(freeze(net)).splitlines()[2:] == [
        "0     BatchNorm1d      BatchNorm1d      left alone: it has no running statistics",
        f"1     LazyBatchNorm1d  LazyBatchNorm1d  {UNKNOWN}",
        "2     BatchNorm1d      FrozenBatchNorm  statistics, weight and bias frozen",
        "3     FrozenBatchNorm  FrozenBatchNorm  left alone: it is already frozen",
        "5     BatchNorm1d      FrozenBatchNorm  statistics frozen",
    ]
    assert str(unfreeze(net)).splitlines()[2:] == [
        "3     FrozenBatchNorm  BatchNorm1d  statistics, weight and bias unfrozen"
    ]


def test_says_what_it_did_to_weight_and_bias():
    surgery = freeze(mixed(), statistics=False)
    assert str(surgery).splitlines()[2:] == [
        "0     BatchNorm1d      BatchNorm1d      weight and bias frozen",
        f"1     LazyBatchNorm1d  LazyBatchNorm1d  {UNKNOWN}",
        "2     BatchNorm1d      BatchNorm1d      weight and bias frozen",
        "3     BatchNorm1d      BatchNorm1d      weight and bias frozen",
        "5     BatchNorm1d      BatchNorm1d      left alone: it has no weight and no bias",
    ]
    assert [p.requires_grad for p in surgery.model[4].parameters()] == [True, True]
    assert surgery.renamed == {}


def test_what_is_left_alone_is_as_it_was():
    net = mixed()
    model = freeze(net).model
    assert [type(model[place]) for place in (0, 1, 4)] == [nn.BatchNorm1d, nn.LazyBatchNorm1d, nn.InstanceNorm1d]
    assert all(p.requires_grad for place in (0, 1, 4) for p in model[place].parameters())
    model(torch.randn(4, 3, 2))
    assert type(model[1]) is nn.BatchNorm1d
    assert not torch.equal(model[4].running_mean, net[4].running_mean)
    assert torch.equal(model[2].running_mean, net[2].running_mean)


@pytest.mark.parametrize("first", ["statistics", "affine"])
def test_one_part_after_the_other_is_both(first):
    net = network()
    other = {"statistics": "affine", "affine": "statistics"}[first]
    model = freeze(freeze(net, **{other: False}).model, **{first: False}).model
    assert snapshot(model) == snapshot(freeze(net).model)
    assert snapshot(unfreeze(model).model) == snapshot(net)


@pytest.mark.parametrize("skip", ["1", ["1"], lambda name, module: name == "1"])
def test_skip(skip):
    model = freeze(network(), skip=skip).model
    assert [type(norm) for norm in norms(model)] == [nn.BatchNorm2d, nw.FrozenBatchNorm]
    assert model[1].weight.requires_grad


@pytest.mark.parametrize("skip", ["0", "1.0", lambda name, module: name == "1.0"])
def test_a_shared_layer_is_skipped_under_any_of_its_names(skip):
    norm = nn.BatchNorm2d(3)
    net = nn.Sequential(norm, nn.Sequential(norm), nn.BatchNorm2d(3))
    assert [change.name for change in freeze(net, skip=skip).changes] == ["2"]


def test_a_frozen_place_counts_as_normalized():
    net = freeze(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU())).model
    with pytest.raises(SurgeryError, match="places already normalized: 1"):
        batch_normalize(net)


# Refusals


@pytest.mark.parametrize(
    ("net", "options", "says"),
    [
        (nn.Sequential(nn.Linear(3, 2)), {}, "found none (normalizations in the network: none)"),
        (nn.Sequential(nn.GroupNorm(1, 2), nn.GroupNorm(1, 2)), {}, "found none (normalizations in the network: "),
        (nn.Sequential(nn.GroupNorm(1, 2), nn.GroupNorm(1, 2)), {}, "GroupNorm × 2"),
        (network(), {"skip": lambda *_: True}, "found none (normalizations in the network: BatchNorm2d × 2)"),
        (nn.BatchNorm1d(3, track_running_stats=False), {}, "found the network itself: it has no running statistics"),
        (freeze(network()).model, {}, "found 1: it is already frozen; 3: it is already frozen"),
        (network(), {"skip": ["norm"]}, "skip: unknown module 'norm'. Allowed: 0, 1, 2, 3"),
    ],
)
@pytest.mark.parametrize("inplace", [False, True])
def test_nothing_to_freeze_is_an_error_that_leaves_the_network(net, options, says, inplace):
    before = snapshot(net)
    with pytest.raises(SurgeryError) as error:
        freeze(net, inplace=inplace, **options)
    assert says in str(error.value)
    assert snapshot(net) == before


def test_nothing_to_unfreeze_is_an_error():
    with pytest.raises(SurgeryError, match=r"nothing to unfreeze in Sequential: .* found none .*BatchNorm2d × 2"):
        unfreeze(network())


def test_neither_part_is_an_error():
    with pytest.raises(InvalidArgumentError, match="statistics=False and affine=False"):
        freeze(network(), statistics=False, affine=False)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("wrap", [lambda net: net, lambda net: nn.Sequential(net)], ids=["root", "inside"])
@pytest.mark.parametrize("made", [torch.compile, torch.jit.script], ids=["compiled", "scripted"])
@pytest.mark.parametrize("operation", [freeze, unfreeze])
def test_a_compiled_network_is_refused(operation, made, wrap):
    net = wrap(made(nn.Sequential(nn.BatchNorm2d(3))))
    with pytest.raises(SurgeryError, match=f"cannot {operation.__name__} .*compiled or scripted.*, then compile"):
        operation(net)


def test_a_compiled_network_without_normalization_is_refused_too():
    with pytest.raises(SurgeryError, match="compiled or scripted"):
        freeze(torch.compile(nn.Linear(3, 3)))


def test_a_compiled_part_without_statistics_is_no_obstacle():
    net = nn.Sequential(torch.compile(nn.Linear(3, 3)), nn.BatchNorm1d(3))
    assert type(freeze(net).model[1]) is nw.FrozenBatchNorm
