"""Insertion into the networks of the zoo: what holds for each of them."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

import normwise as nw
from networks import residual
from normwise.errors import SurgeryError
from normwise.surgery.graph import trace
from zoo import ZOO

NORMS = (nn.modules.batchnorm._BatchNorm,)
PLACED = {
    "vgg": 6, "vgg_bn": 2, "alexnet": 4, "alexnet_bn": 1, "mlp": 2, "gan_plain": 2, "resnet_plain": 8, "lstm": 1,
    "vit": 2, "sequence": 2, "functional": 1, "branching": 1, "bn_first": 1,
}  # fmt: skip
"""How many normalizations each network gets; the others have none to get."""
FULL = [name for name in ZOO if name not in {*PLACED, "tied"}]


def norms(net):
    return [name for name, module in net.named_modules() if isinstance(module, NORMS)]


def kinds(net):
    return [type(module).__name__ for module in net]


def new_key(key, renamed):
    """What a state-dict key became: that of the longest dotted name that moved."""
    name = key
    while name and name not in renamed:
        name = name.rpartition(".")[0]
    return renamed[name] + key[len(name) :] if name else key


@pytest.mark.parametrize("example", [False, True])
@pytest.mark.parametrize("name", PLACED)
def test_every_place_is_found_and_trains(name, example):
    net, x = ZOO[name].make(), ZOO[name].example()
    surgery = nw.batch_normalize(net, example=x if example else None)
    assert len(norms(surgery.model)) == len(norms(net)) + PLACED[name]
    y = surgery.model(x)
    assert y.shape == ZOO[name].output
    (y * torch.randn_like(y)).sum().backward()
    assert y.isfinite().all()
    assert all(parameter.grad is not None for parameter in surgery.model.parameters())
    added = [change.name for change in surgery.changes if not change.before]
    assert all(surgery.model.get_submodule(layer).weight.grad.abs().sum() > 0 for layer in added)


@pytest.mark.parametrize("name", FULL)
def test_what_is_normalized_everywhere_is_refused(name):
    with pytest.raises(SurgeryError, match=r"nothing to insert into .* places already normalized: "):
        nw.batch_normalize(ZOO[name].make())


@pytest.mark.parametrize("name", PLACED)
def test_once_is_all(name):
    model = nw.batch_normalize(ZOO[name].make()).model
    with pytest.raises(SurgeryError, match="already normalized"):
        nw.batch_normalize(model)


@pytest.mark.parametrize("name", PLACED)
def test_what_was_there_is_there(name):
    net, x = ZOO[name].make().double(), ZOO[name].example()
    for index, parameter in enumerate(net.parameters()):
        parameter.requires_grad_(index % 3 != 1)
    for index, module in enumerate(net.modules()):
        module.training = index % 2 == 0
    flags = {old: (module.training, type(module)) for old, module in net.named_modules(remove_duplicate=False)}
    before, text = copy.deepcopy(net.state_dict()), repr(net)
    surgery = nw.batch_normalize(net)
    model, renamed = surgery.model, surgery.renamed
    assert repr(net) == text
    assert type(model) is type(net)
    after = model.state_dict()
    old = {new_key(key, renamed): value for key, value in before.items()}
    gone = {f"{change.name}.bias" for change in surgery.changes if "without bias" in change.after}
    assert old.keys() - gone <= after.keys()
    assert gone.isdisjoint(after)
    assert all(torch.equal(after[key], value) for key, value in old.items() if key not in gone)
    added = tuple(f"{change.name}." for change in surgery.changes if not change.before)
    assert {key for key in after if not key.startswith(added)} == old.keys() - gone
    for name_, (training, kind) in flags.items():
        module = model.get_submodule(new_key(name_, renamed))
        assert (module.training, type(module)) == (training, kind)
    required = dict(net.named_parameters())
    for key, parameter in required.items():
        if new_key(key, renamed) not in gone:
            assert model.get_parameter(new_key(key, renamed)).requires_grad == parameter.requires_grad
    assert {value.dtype for value in after.values() if value.is_floating_point()} == {torch.float64}
    assert model.eval()(x.double() if x.is_floating_point() else x).dtype == torch.float64


@pytest.mark.parametrize("name", PLACED)
def test_the_network_can_be_copied_saved_and_traced(name):
    net, x = ZOO[name].make(), ZOO[name].example()
    model = nw.batch_normalize(net).model.eval()
    y = model(x)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other(x), y)
    assert (not trace(model).problem) == ZOO[name].traceable
    fresh = nw.batch_normalize(ZOO[name].make()).model.eval()
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh(x), y)


@pytest.mark.parametrize(("plain", "skip"), [("vgg", ["classifier"]), ("alexnet", ["classifier"]), ("gan_plain", [])])
def test_the_order_of_layers_is_that_of_the_published_network(plain, skip):
    model = nw.batch_normalize(ZOO[plain].make(), skip=skip).model
    published = ZOO[ZOO[plain].published].make()
    pairs = list(zip(model.modules(), published.modules(), strict=True))
    assert [name for name, _ in model.named_modules()] == [name for name, _ in published.named_modules()]
    for ours, theirs in pairs[1:]:
        assert isinstance(ours, type(theirs)), (ours, theirs)


def calls(net):
    """The classes of the modules that run, in order, and every function."""
    modules = dict(net.named_modules())
    nodes = [node for node in trace(net).graph.nodes if node.op not in ("placeholder", "get_attr", "output")]
    found = [type(modules[node.target]) if node.op == "call_module" else node.target for node in nodes]
    return [nn.BatchNorm2d if each is nw.BatchNorm2d else nn.BatchNorm1d if each is nw.BatchNorm1d else each
            for each in found]  # fmt: skip


@pytest.mark.parametrize("plain", ["resnet_plain", "sequence"])
def test_what_runs_is_what_runs_in_the_network_written_with_batch_normalization(plain):
    model = nw.batch_normalize(ZOO[plain].make()).model
    assert calls(model) == calls(ZOO[ZOO[plain].published].make())


def test_the_sequence_computes_what_the_network_written_by_hand_does():
    net, x = ZOO["sequence"].make(), ZOO["sequence"].example()
    model, written = nw.batch_normalize(net).model, ZOO["sequence_bn"].make()
    for key, value in written.state_dict(keep_vars=True).items():
        if "norm" not in key:
            value.data = net.state_dict()[key]
    # float32, the same operations in the same order
    torch.testing.assert_close(model(x), written(x))


def test_residuals_are_added_after_the_normalization():
    model = nw.batch_normalize(residual.PlainResNet()).model
    block = model.layer1[0]
    assert kinds(block.conv2) == ["Conv2d", "BatchNorm2d"]
    assert block.conv2.conv.bias is None
    assert isinstance(model.fc, nn.Linear)
    assert kinds(model.layer2[0].downsample) == ["Conv2d", "BatchNorm2d"]


def test_recurrent_and_attention_modules_are_named_and_left_alone():
    for name, block in (("lstm", "lstm"), ("vit", "blocks.1.self_attention")):
        net = ZOO[name].make()
        surgery = nw.batch_normalize(net)
        (left,) = [change for change in surgery.left_alone if change.name == block]
        assert "modules are left as they are" in left.why
        assert repr(surgery.model.get_submodule(block)) == repr(net.get_submodule(block))
    (qkv,) = [change for change in surgery.left_alone if change.name == "blocks.0.attn.qkv"]
    assert "its output goes into attention" in qkv.why


def test_the_features_of_tokens_are_on_the_last_axis():
    model = nw.batch_normalize(ZOO["vit"].make()).model
    assert model.blocks[0].mlp[1].channel_dim == -1
    assert model.blocks[1].fc1.norm.channel_dim == -1
    x = ZOO["vit"].example()
    seen = []
    model.blocks[0].mlp[1].register_forward_hook(lambda _, __, y: seen.append(y.detach()))
    model(x)
    torch.testing.assert_close(seen[0].mean((0, 1)), torch.zeros(16), rtol=0, atol=1e-5)  # float32 means of 20 values


def test_the_last_layer_of_a_generator_is_left_alone():
    surgery = nw.batch_normalize(ZOO["gan_plain"].make())
    (left,) = surgery.left_alone
    assert left.why == "left alone: it is the last layer: Tanh makes the network's output"


def test_tied_parameters_are_listed():
    with pytest.raises(SurgeryError, match="fc1: its parameters are also those of fc2"):
        nw.batch_normalize(ZOO["tied"].make())


def test_a_network_that_cannot_be_traced_says_so():
    surgery = nw.batch_normalize(ZOO["branching"].make())
    assert surgery.changes[0].name == ""
    assert surgery.changes[0].why.startswith("only the children of Sequentials are seen: torch.fx cannot trace it: ")
    assert surgery.changes[0] in surgery.left_alone
    assert kinds(surgery.model.plain) == ["Conv2d", "Normalized"]
    assert kinds(surgery.model.plain[1]) == ["BatchNorm2d", "ReLU"]


class Sliced(nn.Module):
    """It cannot be traced, and its forward counts the children of a ``Sequential``."""

    def __init__(self):
        super().__init__()
        layers = [layer for _ in range(3) for layer in (nn.Conv2d(3, 3, 1), nn.ReLU())]
        self.features = nn.Sequential(*layers)

    def forward(self, x):
        taps = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index % 2 and x.sum() > -1:
                taps.append(x)
        return torch.stack(taps)


def test_a_forward_that_counts_children_finds_what_it_found_before():
    net, x = Sliced(), torch.randn(4, 3, 5, 5)
    model = nw.batch_normalize(net).model
    assert len(model.features) == 6
    assert sum(isinstance(module, nw.BatchNorm2d) for module in model.modules()) == 3
    taps = model(x)
    assert len(taps) == 3
    assert (taps >= 0).all()


@pytest.mark.parametrize("forward", [lambda x: x, torch.relu])
@pytest.mark.parametrize("example", [None, torch.zeros(2, 3, 16, 16)])
def test_a_forward_of_the_instance_is_not_taken_for_that_of_its_class(forward, example):
    """Mixed-precision wrappers put one there."""
    net = ZOO["resnet_plain"].make()
    net.forward = forward
    with pytest.raises(SurgeryError, match="its forward is not that of its class, which a trace follows"):
        nw.batch_normalize(net, example=example)
