"""What becomes part of a layer."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from converted import (
    FUNCTIONS,
    NORMED,
    OURS,
    RESIDUALS,
    Both,
    Modules,
    Residual,
    batch,
    kinds,
    made,
    modes,
    run,
    small,
    the_same,
    why,
)
from normwise.errors import SurgeryError
from normwise.surgery import convert
from tensors import same_bits
from zoo import randomize


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


def test_identities_have_the_mode_of_the_activations():
    net = small().eval()
    assert modes(convert(net, "normwise", fuse=True).model) == modes(net)


def test_hooks_inside_a_module_that_is_called_whole_go_on():
    net, x = Modules(lambda net, x: net.inside(torch.tanh(net.norm(x)))), batch()
    calls = []
    net.inside.norm.register_forward_hook(lambda *args: calls.append(1))
    surgery = convert(net, "normwise", fuse=True)
    assert surgery.model.norm.activation == "tanh"
    surgery.model(x)
    assert calls == [1]


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


def test_two_layers_that_are_added_become_one_call_with_a_residual():
    net, x = randomize(Both()).double(), batch().double()
    surgery = convert(net, "normwise", fuse=True, example=x)
    assert (surgery.model.left.activation, surgery.model.right.activation) == ("relu", None)
    assert "what another layer takes up" in why(surgery, "right")
    the_same(surgery, net, x)


def test_the_check_on_an_example_can_fail(monkeypatch):
    monkeypatch.setattr("normwise.surgery.calls.activation_of", lambda module: None)
    monkeypatch.setattr(
        "normwise.surgery.converting.fusion._name", lambda module: "relu6" if type(module) is nn.ReLU else None
    )
    net = small()
    with pytest.raises(SurgeryError, match="outputs in evaluation would differ by"):
        convert(net, "normwise", fuse=True, example=10 * batch(), inplace=True)
    assert type(net[1]) is nn.BatchNorm2d
