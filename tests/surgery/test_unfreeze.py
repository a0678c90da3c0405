"""There and back."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

import normwise as nw
from freezing import PARTS, Wide, batch, network, norms, snapshot, state, trained
from normwise.surgery import freeze, unfreeze
from tensors import same_bits


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
