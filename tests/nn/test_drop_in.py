"""What PyTorch does to a module, it does to our layers as to its own."""

from __future__ import annotations

import copy
import importlib
import io
import pickle

import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state
from torch.nn.utils import fuse_conv_bn_eval, parametrize, skip_init
from torch.optim.swa_utils import AveragedModel, update_bn

import normwise as nw

SHAPES = {"BatchNorm1d": (5, 3, 4), "BatchNorm2d": (5, 3, 4, 2), "BatchNorm3d": (5, 3, 2, 4, 2)}
close = torch.testing.assert_close  # with the tolerances that it has by itself
every_layer = pytest.mark.parametrize("name", SHAPES)
every_momentum = pytest.mark.parametrize("momentum", [0.3, None])
a_momentum = pytest.mark.parametrize(("name", "momentum"), list(zip(SHAPES, (0.3, None, 0.3), strict=True)))


def pair(name="BatchNorm2d", **options):
    """Our layer and torch's, with the same random state."""
    ours, theirs = (getattr(package, name)(3, **options) for package in (nw, nn))
    for tensor in theirs.state_dict().values():
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.5, 2)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def step(module, x, upstream):
    """y and the gradients of x and the parameters."""
    x = x.detach().requires_grad_()
    y = module(x)
    return [y, *torch.autograd.grad(y, [x, *module.parameters()], upstream)]


def behave_alike(ours, theirs, shape=SHAPES["BatchNorm2d"]):
    """Two steps of training, the state after each, and an evaluation."""
    for training in (True, True, False):
        x, upstream = torch.randn(shape) + 1, torch.randn(shape)
        close(step(ours.train(training), x, upstream), step(theirs.train(training), x, upstream))
        close(ours.state_dict(), theirs.state_dict())


def reloaded(thing, **options):
    with io.BytesIO() as file:
        torch.save(thing, file)
        file.seek(0)
        return torch.load(file, **options)


class Net(nn.Module):
    """A convolution, a layer and ReLU."""

    def __init__(self, layer):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 3, 3), layer

    def forward(self, x):
        return torch.relu(self.norm(self.conv(x)))


def nets(**options):
    """A network with our layer and the same with torch's."""
    ours, theirs = map(Net, pair(**options))
    ours.conv.load_state_dict(theirs.conv.state_dict())
    return ours, theirs


@a_momentum
@pytest.mark.parametrize(
    "clone",
    [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)), lambda m: reloaded(m, weights_only=False)],
    ids=["copy", "deepcopy", "pickle", "save"],
)
def test_clones(clone, name, momentum):
    behave_alike(*map(clone, pair(name, momentum=momentum)), SHAPES[name])


def test_a_shallow_copy_shares_the_state():
    for layer in pair():
        other = copy.copy(layer)
        other(torch.randn(SHAPES["BatchNorm2d"]))
        assert all(other.state_dict()[key].data_ptr() == t.data_ptr() for key, t in layer.state_dict().items())
        assert layer.num_batches_tracked.item() == 1


@every_layer
def test_state_dicts_travel_through_files_both_ways(name):
    ours, theirs = pair(name)
    for source, target in ((ours, type(theirs)(3)), (theirs, type(ours)(3))):
        state = reloaded(source.state_dict(), weights_only=True)
        assert not any(target.load_state_dict(state))
        close(target.state_dict(), source.state_dict(), rtol=0, atol=0)


@a_momentum
def test_state_assigned_to_a_layer_on_the_meta_device(name, momentum):
    ours, theirs = pair(name, momentum=momentum)
    layers = []
    for cls in (type(ours), type(theirs)):
        with torch.device("meta"):
            layers.append(cls(3, momentum=momentum))
        assert not any(layers[-1].load_state_dict(copy.deepcopy(theirs.state_dict()), assign=True))
    behave_alike(*layers, SHAPES[name])


@a_momentum
def test_memory_given_to_a_layer_on_the_meta_device(name, momentum):
    layers = []
    for layer in pair(name, momentum=momentum):
        layers.append(type(layer)(3, momentum=momentum, device="meta").to_empty(device="cpu"))
        layers[-1].reset_parameters()
    behave_alike(*layers, SHAPES[name])


def test_skip_init():
    layers = [skip_init(type(layer), 3) for layer in pair()]
    for layer in layers:
        layer.reset_parameters()
    behave_alike(*layers)


@every_layer
@pytest.mark.parametrize("training", [True, False])
def test_functional_call(name, training):
    results = []
    x, state = torch.randn(SHAPES[name]), pair(name)[0].state_dict()
    for layer in pair(name):
        before, given = copy.deepcopy(layer.state_dict()), {key: t.clone() for key, t in state.items()}
        y = functional_call(layer.train(training), given, (x,))
        close(layer.state_dict(), before, rtol=0, atol=0)
        results.append((y, given))
    close(*results)


def ensemble(layers, batches):
    """Each layer's y for its batch, in one call."""
    base, state = copy.deepcopy(layers[0]).to("meta"), stack_module_state(layers)
    return torch.vmap(lambda state, x: functional_call(base, state, (x,)))(state, batches)


@pytest.mark.parametrize("training", [True, False])
def test_an_ensemble_of_stacked_states(training):
    both = zip(*(pair() for _ in range(3)), strict=True)
    batches, results = torch.randn(3, *SHAPES["BatchNorm2d"]), []
    for layers in both:
        results.append(ensemble([layer.train(training) for layer in layers], batches))
        close(results[-1], torch.stack([layer(x) for layer, x in zip(layers, batches, strict=True)]))
    close(*results)


@every_momentum
@pytest.mark.parametrize(
    ("change", "dtype"),
    [
        (nn.Module.double, torch.float64),
        (nn.Module.half, torch.float16),
        (nn.Module.bfloat16, torch.bfloat16),
        (lambda m: m.to(torch.float64), torch.float64),
        (lambda m: m.type(torch.float16), torch.float16),
    ],
    ids=["double", "half", "bfloat16", "to", "type"],
)
def test_a_change_of_type(change, dtype, momentum):
    ours, theirs = (change(layer) for layer in pair(momentum=momentum))
    kinds = [{key: tensor.dtype for key, tensor in layer.state_dict().items()} for layer in (ours, theirs)]
    assert kinds[0] == kinds[1]
    x = torch.randn(SHAPES["BatchNorm2d"], dtype=dtype)
    for training in (True, False):
        want = theirs.double().train(training)(x.double()).to(dtype)
        close(ours.train(training)(x), want)
        theirs.to(dtype).load_state_dict(ours.state_dict())


def test_share_memory():
    layers = [layer.share_memory() for layer in pair()]
    assert all(tensor.is_shared() for layer in layers for tensor in layer.state_dict().values())
    behave_alike(*layers)


@pytest.mark.parametrize("training", [True, False])
def test_symbolic_trace(training):
    x, graphs = torch.randn(5, 2, 6, 4), []
    for net in nets():
        traced = torch.fx.symbolic_trace(net.train(training))
        plain = copy.deepcopy(net)
        close(traced(x), plain(x))
        close(traced.state_dict(), plain.state_dict())
        graphs.append([(node.op, str(node.target)) for node in traced.graph.nodes])
    assert graphs[0] == graphs[1]


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")  # torch imports with it
@pytest.mark.parametrize(
    ("module", "name"),
    [("torch.fx.experimental.optimization", "fuse"), ("torch.ao.quantization.quantize_fx", "fuse_fx")],
)
def test_fx_fuses_only_torchs_own_class_and_changes_no_output(module, name):
    x = torch.randn(5, 2, 6, 4)
    for net, fused in zip(nets(), (False, True), strict=True):
        other = getattr(importlib.import_module(module), name)(net.eval())
        assert any(isinstance(module, nn.BatchNorm2d) for module in other.modules()) != fused
        close(other(x), net(x))


def test_fusing_a_convolution_and_a_layer():
    x = torch.randn(5, 2, 6, 4)
    for net in nets():
        close(torch.relu(fuse_conv_bn_eval(net.conv.eval(), net.norm.eval())(x)), net(x))


class Positive(nn.Module):
    """A parametrization."""

    def forward(self, weight):
        return weight.exp()


def test_parametrizations():
    layers = pair()
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", Positive())
    behave_alike(*layers)
    behave_alike(*map(copy.deepcopy, layers))
    for layer in layers:
        parametrize.remove_parametrizations(layer, "weight")
    assert type(layers[0]) is nw.BatchNorm2d
    behave_alike(*layers)


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature:UserWarning")
def test_behind_a_lazy_module():
    results = []
    x = torch.randn(5, 2, 6, 4)
    for layer in pair():
        torch.manual_seed(1)
        net = nn.Sequential(nn.LazyConv2d(3, 3), layer, nn.LazyBatchNorm2d())
        results.append((net(x), net.state_dict()))
    close(*results)


@every_momentum
def test_averaged_models_with_buffers(momentum):
    ours, theirs = nets(momentum=momentum)
    averages = [AveragedModel(net, use_buffers=True) for net in (ours, theirs)]
    for _ in range(3):
        x = torch.randn(5, 2, 6, 4)
        for net, average in zip((ours, theirs), averages, strict=True):
            net(x).square().mean().backward()
            torch.optim.SGD(net.parameters(), 0.1).step()
            average.update_parameters(net)
        close(averages[0].state_dict(), averages[1].state_dict())
    close(averages[0].eval()(x), averages[1].eval()(x))


@every_momentum
@pytest.mark.parametrize("training", [True, False])
def test_update_bn(momentum, training):
    both = nets(momentum=momentum)
    batches = [torch.randn(n, 2, 6, 4) for n in (5, 5, 2)]
    for net in both:
        update_bn(batches, net.train(training))
        assert net.norm.momentum == momentum
        assert net.training == training
    close(both[0].state_dict(), both[1].state_dict())
    x = torch.randn(5, 2, 6, 4)
    close(both[0](x), both[1](x))


@every_momentum
def test_converting_to_sync_batch_norm_makes_torchs_layer(momentum):
    converted = [nn.SyncBatchNorm.convert_sync_batchnorm(net) for net in nets(momentum=momentum)]
    assert [type(net.norm) for net in converted] == [nn.SyncBatchNorm] * 2
    close(converted[0].state_dict(), converted[1].state_dict(), rtol=0, atol=0)
    assert repr(converted[0]) == repr(converted[1])
    x = torch.randn(5, 2, 6, 4)
    close(converted[0].eval()(x), converted[1].eval()(x))


def test_convert_makes_a_layer_that_shares_its_parameters():
    for layer in pair():
        converted = nn.SyncBatchNorm.convert_sync_batchnorm(layer)
        assert converted.weight is layer.weight
        assert converted.running_mean is layer.running_mean


def test_a_traced_call_is_that_of_torchs_layer_where_nothing_more_is_given():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nw.BatchNorm2d(3)

        def forward(self, x, residual):
            return self.norm(self.norm(x, residual=None), residual)

    first, second = [n for n in torch.fx.symbolic_trace(Network()).graph.nodes if n.op == "call_module"]
    assert (len(first.args), first.kwargs) == (1, {})
    assert list(second.kwargs) == ["residual"]
