"""Layers leave PyTorch: torch.export, ONNX, and the TorchScript tracer, in evaluation mode."""

from __future__ import annotations

import copy
import io

import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn
from torch.export import Dim
from torch.nn import functional as F

import normwise as nw
from normwise import ops

SHAPES = {"BatchNorm1d": (4, 3, 5), "BatchNorm2d": (4, 3, 5, 2), "BatchNorm3d": (4, 3, 2, 5, 3)}
NAMES = pytest.mark.parametrize("name", SHAPES)
STRICT = pytest.mark.parametrize("strict", [True, False], ids=["strict", "non-strict"])
EACH_CLASS = pytest.mark.parametrize(
    ("name", "strict"), [("BatchNorm1d", True), ("BatchNorm2d", False), ("BatchNorm3d", True)]
)
DYNAMIC = ({0: Dim.DYNAMIC}, {0: Dim.DYNAMIC})
# What torch and onnxscript warn of by themselves.
exports = pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
traces = pytest.mark.filterwarnings(
    "ignore:.*torch.jit.trace:DeprecationWarning",
    "ignore:.*legacy TorchScript-based ONNX export:DeprecationWarning",
    "ignore:The feature will be removed:DeprecationWarning",
)
close = torch.testing.assert_close  # with the tolerances that it has by itself


def randomized(layer):
    """The layer, with random state, in evaluation mode."""
    for tensor in layer.state_dict().values():
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.5, 2)
    return layer.eval()


def problem(name, activation="relu", **options):
    """A layer in evaluation mode, x and a residual."""
    layer = getattr(nw, name)(3, activation=activation, **options)
    return randomized(layer), torch.randn(SHAPES[name]), torch.randn(SHAPES[name])


def to_onnx(layer, *inputs, **options):
    """The checked model."""
    model = torch.onnx.export(layer, inputs, dynamo=True, verbose=False, **options).model_proto
    onnx.checker.check_model(model, full_check=True)
    return model


def run(model, *inputs):
    names = [value.name for value in model.graph.input]
    given = dict(zip(names, [x.numpy() for x in inputs], strict=True))
    return torch.from_numpy(ReferenceEvaluator(model).run(None, given)[0])


def kinds(model):
    return [node.op_type for node in model.graph.node]


@STRICT
def test_a_program_computes_what_the_layer_does_and_is_saved_and_loaded(strict):
    layer, x, residual = problem("BatchNorm2d")
    program = torch.export.export(layer, (x, residual), strict=strict)
    assert not any("normwise" in str(node.target) for node in program.graph.nodes)
    buffers = (layer.running_mean, layer.running_var, layer.weight, layer.bias)
    by_torch = F.relu(F.batch_norm(x, *buffers, eps=layer.eps) + residual)
    close(program.module()(x, residual), by_torch, rtol=0, atol=0)  # it holds PyTorch's operators
    close(by_torch, layer(x, residual))
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    close(torch.export.load(file).module()(x, residual), by_torch, rtol=0, atol=0)


@EACH_CLASS
def test_torch_export_with_any_batch_size(name, strict):
    layer, x, residual = problem(name)
    program = torch.export.export(layer, (x, residual), dynamic_shapes=DYNAMIC, strict=strict)
    assert not any("normwise" in str(node.target) for node in program.graph.nodes)
    for size in (1, 4, 300):
        x, residual = (torch.randn(size, *x.shape[1:]) for _ in range(2))
        close(program.module()(x, residual), layer(x, residual))


@STRICT
def test_torch_export_in_training_mode_updates_the_statistics(strict):
    layer, x, residual = problem("BatchNorm2d")
    exported = torch.export.export(copy.deepcopy(layer).train(), (x, residual), strict=strict)
    assert not any("normwise" in str(node.target) for node in exported.graph.nodes)
    program = exported.module()
    for _ in range(2):
        close(program(x, residual), layer.train()(x, residual))
    state = program.state_dict()
    close({key: state[key] for key in layer.state_dict()}, layer.state_dict())


@EACH_CLASS
def test_torch_export_in_training_mode_with_any_batch_size(name, strict):
    layer, x, residual = problem(name)
    twin, sizes = copy.deepcopy(layer).train(), {0: Dim("batch", min=2)}
    program = torch.export.export(layer.train(), (x, residual), dynamic_shapes=(sizes, sizes), strict=strict).module()
    for size in (2, 30, 300):
        x, residual = (torch.randn(size, *x.shape[1:]) for _ in range(2))
        close(program(x, residual), twin(x, residual))
    state = program.state_dict()
    close({key: state[key] for key in twin.state_dict()}, twin.state_dict())


@exports
def test_onnx():
    layer, x, residual = problem("BatchNorm2d")
    model = to_onnx(layer, x, residual)
    assert kinds(model) == ["BatchNormalization", "Add", "Relu"]
    close(run(model, x, residual), layer(x, residual).detach())


class Parallel(nn.Module):
    """Several layers of one input, so that one export is enough for all of them."""

    def __init__(self, layers):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, *inputs):
        return torch.stack([layer(*inputs) for layer in self.layers])


class Classes(Parallel):
    """A layer for each input."""

    def forward(self, one, two, three):
        outputs = [layer(x, residual=x) for layer, x in zip(self.layers, (one, two, three), strict=True)]
        return torch.cat([y.flatten(1) for y in outputs], 1)


@exports
def test_onnx_with_any_batch_size():
    network = Classes([problem(name)[0] for name in SHAPES]).eval()
    inputs = [torch.randn(shape) for shape in SHAPES.values()]
    model = to_onnx(network, *inputs, dynamic_shapes=({0: Dim.DYNAMIC},) * 3)
    assert kinds(model).count("BatchNormalization") == 3
    for size in (1, 7):
        inputs = [torch.randn(size, *x.shape[1:]) for x in inputs]
        close(run(model, *inputs), network(*inputs).detach())


@pytest.mark.usefixtures("without_kernels")
@exports
def test_onnx_of_every_activation():
    layers = [problem("BatchNorm1d", activation)[0] for activation in ops.ACTIVATIONS]
    network, x, residual = Parallel(layers).eval(), torch.randn(4, 3, 5), torch.randn(4, 3, 5)
    model = to_onnx(network, x, residual)
    assert kinds(model).count("BatchNormalization") == len(layers) > 10
    close(run(model, x, residual), network(x, residual).detach())


@exports
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_onnx_of_every_option(dtype):
    options = {"affine": False}, {"bias": False}, {"track_running_stats": False}, {}
    classes = nw.BatchNorm1d, nn.BatchNorm1d
    layers = [randomized(cls(3, **each, dtype=dtype)) for cls in classes for each in options]
    network, x = Parallel(layers).eval(), torch.randn(4, 3, 5, dtype=dtype)
    model = to_onnx(network, x)
    assert kinds(model).count("BatchNormalization") >= 6  # all but those with the batch's statistics
    close(run(model, x), network(x).detach())


class Axes(Parallel):
    """The second layer has its channels on the last axis."""

    def forward(self, x, residual, mask):
        second, last = self.layers
        return torch.stack([second(x, residual, mask), last(x.mT, residual.mT, mask).mT])


@exports
def test_onnx_with_a_mask_and_the_last_axis():
    layers = [randomized(nw.BatchNorm1d(3, activation="silu", channel_dim=axis).double()) for axis in (1, -1)]
    network, inputs = Axes(layers).eval(), (*torch.randn(2, 4, 3, 5).double(), torch.rand(4, 5) > 0.3)
    close(run(to_onnx(network, *inputs), *inputs), network(*inputs).detach())
    x = torch.randn(4, 5, 3).double()
    close(run(to_onnx(layers[1], x), x), layers[1](x).detach())


@exports
@pytest.mark.filterwarnings("ignore:Exporting a model while it is in training mode:UserWarning")
def test_onnx_in_training_mode_normalizes_with_the_batch():
    layer, x = nw.BatchNorm1d(3, activation="relu"), torch.randn(8, 3)
    want = copy.deepcopy(layer)(x).detach()
    close(run(to_onnx(layer, x), x), want)


@traces
@NAMES
def test_onnx_through_torchscript(name):
    for layer in (getattr(nn, name)(3), getattr(nw, name)(3, activation="relu")):
        x, file = torch.randn(SHAPES[name]), io.BytesIO()
        torch.onnx.export(randomized(layer), (x,), file, dynamo=False)
        model = onnx.load_from_string(file.getvalue())
        onnx.checker.check_model(model, full_check=True)
        assert "BatchNormalization" in kinds(model)
        close(run(model, x), layer(x).detach())


@traces
@NAMES
def test_torch_jit_trace(name):
    for layer in (getattr(nn, name)(3), getattr(nw, name)(3, activation="relu")):
        x = torch.randn(SHAPES[name])
        traced = torch.jit.trace(randomized(layer), (x,))
        for size in (4, 1, 9):
            x = torch.randn(size, *x.shape[1:])
            close(traced(x), layer(x))
