from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

import normwise as nw
from converted import NORMED, OURS, batch, close, kinds, made, modes, run, small, snapshot, state, why
from normwise.errors import InvalidArgumentError, SurgeryError
from normwise.surgery import convert
from tensors import same_bits
from zoo import ZOO, randomize

THEIRS = {name: entry for name, entry in NORMED.items() if name not in ("fused", "sequence_bn")}


EXACT = {nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d}


@pytest.fixture(params=THEIRS.values(), ids=str)
def entry(request):
    return request.param


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
