"""What frozen means."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

import normwise as nw
from freezing import PARTS, batch, snapshot, state, step, trained
from normwise.surgery import freeze, unfreeze
from tensors import same_bits

AXES = {
    "1d": ((6, 3), nn.Linear, nw.BatchNorm1d),
    "1d long": ((4, 3, 5), lambda i, o: nn.Conv1d(i, o, 1), nn.BatchNorm1d),
    "2d": ((4, 3, 5, 2), lambda i, o: nn.Conv2d(i, o, 1), nw.BatchNorm2d),
    "2d of torch": ((4, 3, 5, 2), lambda i, o: nn.Conv2d(i, o, 1), nn.BatchNorm2d),
    "3d": ((4, 3, 2, 1, 2), lambda i, o: nn.Conv3d(i, o, 1), nn.BatchNorm3d),
}


@pytest.fixture(params=AXES.values(), ids=AXES)
def case(request):
    """A network with a layer in two places, trained a little, with modes and flags of all kinds, and a batch."""
    shape, linear, cls = request.param
    shared = nn.Sequential(cls(4), nn.ReLU())
    net = nn.Sequential(linear(3, 4), shared, linear(4, 4), cls(4, affine=False), shared, cls(4, momentum=None))
    return trained(net, torch.randn(shape)), torch.randn(shape)


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


def test_an_optimizer_does_not_move_what_was_frozen_after_a_backward():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    net(batch()).square().mean().backward()
    before = state(net)
    freeze(net, inplace=True)
    optimizer.step()
    same_bits(net.state_dict()["1.weight"], before["1.weight"])
    assert not torch.equal(net[0].weight, before["0.weight"])


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
