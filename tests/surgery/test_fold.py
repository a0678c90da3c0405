from __future__ import annotations

import copy
import itertools
import sys

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from folds import TOLERANCE, Calls, chain, check, conv, double, error, expected, fold, folded, image
from normwise.surgery.folding import neighbours
from normwise.surgery.folding.affine import ChannelAffine
from tensors import same_bits
from zoo import ZOO, randomize

NORMALIZED = [entry for entry in ZOO.values() if entry.norms + entry.functional]


@pytest.mark.parametrize("entry", NORMALIZED, ids=str)
@pytest.mark.parametrize(
    ("dtype", "training"), [(torch.float32, True), (torch.float64, False)], ids=["training", "evaluation"]
)
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


def test_a_compiled_part_without_normalization_is_no_obstacle():
    network = nn.Sequential(torch.compile(conv().double(), backend="eager"), double(nn.BatchNorm2d(3))).eval()
    check(network, image, [])


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


def test_the_network_may_itself_be_the_normalization():
    network = double(nn.BatchNorm2d(3))
    surgery = fold(network, example=image)
    assert type(surgery.model) is ChannelAffine
    assert error(surgery.model(image), network(image)) <= 1e-12


def test_folding_again_finds_nothing_more():
    made = fold(chain(nn.BatchNorm2d(3), conv(3, padding=1)), example=image).model
    again = fold(made, example=image).model
    same_bits(again(image), made(image))


THEIRS = {
    "a convolution called twice": lambda: double(Calls(lambda net, x: net.norm(net.conv(x)) + net.conv(x * 2))),
    "transposed": lambda: chain(nn.ConvTranspose2d(3, 3, 2), nn.BatchNorm2d(3)),
    "before the convolution": lambda: chain(nn.BatchNorm2d(3), conv(3)),
    "a subclass": lambda: chain(conv(), type("Mine", (nn.BatchNorm2d,), {})(3)),
    "its output too": lambda: double(Calls(lambda net, x: net.norm(y := net.conv(x)) + y)),
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


def test_normalizations_before_different_linear_maps_are_folded_at_once(monkeypatch):
    looks = []
    look = neighbours.look
    monkeypatch.setattr(sys.modules["normwise.surgery.fold"], "look", lambda *args: looks.append(1) or look(*args))
    kinds = "RNC RNC RNNNC RNC RNNC".replace(" ", "")
    network = chain(*({"R": nn.ReLU, "N": lambda: nn.BatchNorm2d(3), "C": conv}[kind]() for kind in kinds))
    check(network, image, [str(index) for index, kind in enumerate(kinds) if kind == "N"])
    assert len(looks) == 2  # the second for those in a row


@pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
def test_normalizations_in_a_row_are_folded_in_whatever_order_they_are_registered(order):
    class Row(nn.Module):
        def __init__(self):
            super().__init__()
            self.norms, self.last = nn.ModuleList(nn.BatchNorm2d(3) for _ in order), conv()

        def forward(self, x):
            for index in order:
                x = self.norms[index](x)
            return self.last(x)

    check(double(Row()), image, ["norms.0", "norms.1", "norms.2"])
