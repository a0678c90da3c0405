"""Converting our layers to torch's."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import normwise as nw
from converted import NORMED, Shared, batch, close, made, run, snapshot, why
from normwise.errors import SurgeryError
from normwise.surgery import convert
from tensors import same_bits
from zoo import randomize


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


def test_an_identity_that_serves_two_activations_stays_one():
    net, x = Shared(lambda: nw.BatchNorm2d(3, activation="relu"), nn.Identity(), nn.Identity()), batch()
    net.two.activation = "sigmoid"
    model = convert(net, "torch").model
    assert type(model.modules_[0]) is nn.Identity
    close(run(model, x, True)[0], run(net, x, True)[0], 1e-5)


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


def test_sync_conversion_of_torch_drops_a_fused_activation_and_that_of_an_unfused_network_does_not():
    net = nn.Sequential(nw.BatchNorm2d(3, activation="relu"))
    dropped = nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(net)).eval()
    assert dropped(batch()).min() < 0
    kept = nn.SyncBatchNorm.convert_sync_batchnorm(convert(net, "torch").model).eval()
    assert kept(batch()).min() == 0


def test_a_residual_in_one_of_the_ways_that_can_be_followed_is_seen():
    class Ways(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nw.BatchNorm2d(3)

        def forward(self, x, plain=None):
            if plain is None:
                return self.norm(x, residual=x)
            return self.norm(x) if isinstance(plain, torch.Tensor) else self.norm(x * 2)

    with pytest.raises(SurgeryError, match="called with a residual or a mask"):
        convert(Ways(), "torch")
