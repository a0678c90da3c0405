from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import normwise as nw
import oracle
from normwise.errors import InvalidArgumentError, ShapeError

PAIRS = {
    2: (nw.BatchNorm1d, nn.BatchNorm1d),
    3: (nw.BatchNorm1d, nn.BatchNorm1d),
    4: (nw.BatchNorm2d, nn.BatchNorm2d),
    5: (nw.BatchNorm3d, nn.BatchNorm3d),
}
SHAPES = [(7, 5), (3, 4, 9), (5, 3, 7, 1), (2, 5, 3, 3, 5)]
# Sums of at most a hundred values of about 1 in float64.
FLOAT64 = {"rtol": 1e-10, "atol": 1e-12}
# The same in float32: a hundred roundings of 6e-8 each, and a factor 1/σ·γ of about 1.
FLOAT32 = {"rtol": 2e-5, "atol": 1e-5}


def pair(shape, dtype=torch.float64, **options):
    """Our layer and torch's, with the same random γ and β."""
    ours, theirs = (cls(shape[1], dtype=dtype, **options) for cls in PAIRS[len(shape)])
    for parameter in theirs.parameters():
        nn.init.normal_(parameter)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def step(layer, x, upstream):
    """y and the gradients of x and the parameters."""
    x = x.detach().requires_grad_()
    y = layer(x)
    return [y, *torch.autograd.grad(y, [x, *layer.parameters()], upstream)]


def buffers(layer):
    return {name: buffer for name, buffer in layer.state_dict().items() if name in dict(layer.named_buffers())}


@pytest.mark.parametrize("momentum", [0.1, 0.7, None])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_trains_and_evaluates_like_torch_and_the_oracle(shape, momentum):
    ours, theirs = pair(shape, momentum=momentum)
    running = oracle.Running(shape[1], momentum)
    for _ in range(4):
        x, upstream = torch.randn(shape).double() * 2 + 3, torch.randn(shape).double()
        got = step(ours, x, upstream)
        torch.testing.assert_close(got, step(theirs, x, upstream), **FLOAT64)
        weight, bias = ours.weight.detach().numpy(), ours.bias.detach().numpy()
        forward = oracle.forward(x.numpy(), weight, bias, ours.eps)
        back = oracle.backward(upstream.numpy(), x.numpy(), weight, bias, ours.eps)
        want = [torch.tensor(a) for a in (forward.y, back.x, back.weight, back.bias)]
        torch.testing.assert_close(got, want, **FLOAT64)
        running.update(x.numpy())
    torch.testing.assert_close(buffers(ours), buffers(theirs), **FLOAT64)
    statistics = [torch.tensor(running.mean), torch.tensor(running.var)]
    torch.testing.assert_close([ours.running_mean, ours.running_var], statistics, **FLOAT64)
    ours.eval(), theirs.eval()
    torch.testing.assert_close(step(ours, x, upstream), step(theirs, x, upstream), **FLOAT64)
    assert ours.num_batches_tracked.item() == 4


@pytest.mark.parametrize(
    "memory_format", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"]
)
def test_float32_in_both_memory_formats(memory_format):
    ours, theirs = pair((4, 5, 7, 3), torch.float32)
    x, upstream = torch.randn(4, 5, 7, 3) + 3, torch.randn(4, 5, 7, 3)
    x = x.contiguous(memory_format=memory_format)
    got = step(ours, x, upstream)
    assert got[0].is_contiguous(memory_format=memory_format)
    torch.testing.assert_close(got, step(theirs, x, upstream), **FLOAT32)
    torch.testing.assert_close(buffers(ours), buffers(theirs), **FLOAT32)


@pytest.mark.parametrize(
    "options",
    [{"affine": False}, {"track_running_stats": False}, {"eps": 0.1}, {"momentum": 0.0}, {"momentum": 1.0}],
    ids=str,
)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.filterwarnings("ignore::normwise.errors.MomentumWarning")
def test_options_do_what_they_do_in_torch(options, training):
    ours, theirs = pair((6, 4), **options)
    for layer in (ours, theirs):
        layer.train(training)
    for _ in range(2):
        x, upstream = torch.randn(6, 4).double() + 1, torch.randn(6, 4).double()
        torch.testing.assert_close(step(ours, x, upstream), step(theirs, x, upstream), **FLOAT64)
    torch.testing.assert_close(buffers(ours), buffers(theirs), **FLOAT64)


@pytest.mark.parametrize("training", [True, False])
def test_bias_can_be_left_out(training):
    layer = nw.BatchNorm1d(4, bias=False, dtype=torch.float64).train(training)
    nn.init.normal_(layer.weight)
    x = torch.randn(6, 4).double()
    assert layer.bias is None
    assert list(layer.state_dict()) == ["weight", "running_mean", "running_var", "num_batches_tracked"]
    assert "bias=False" in repr(layer)
    statistics = (None, None) if training else (layer.running_mean, layer.running_var)
    torch.testing.assert_close(layer(x), F.batch_norm(x, *statistics, layer.weight, training=training), **FLOAT64)
    layer.reset_parameters()
    assert layer.weight.tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu:0.1", "tanh"])
def test_residual_then_activation(activation, training):
    layer = nw.BatchNorm2d(3, activation=activation, dtype=torch.float64).train(training)
    nn.init.normal_(layer.weight)
    layer.running_mean.normal_()
    x, residual, upstream = (torch.randn(4, 3, 5, 2).double() for _ in range(3))
    x.requires_grad_(), residual.requires_grad_()
    plain = copy.deepcopy(layer)
    plain.activation = None
    z = plain(x) + residual
    want = nw.ops.activation(activation).module()(z)
    got = layer(x, residual)
    torch.testing.assert_close(got, want, **FLOAT64)
    inputs = [x, residual]
    gradients = [torch.autograd.grad(y, inputs, upstream) for y in (got, want)]
    torch.testing.assert_close(*gradients, **FLOAT64)


def test_an_empty_batch_moves_only_the_counter():
    for layer in pair((0, 3)):
        y = layer(torch.zeros(0, 3, dtype=torch.float64, requires_grad=True))
        y.sum().backward()
        assert y.shape == (0, 3)
        assert layer.num_batches_tracked.item() == 1
        assert (layer.running_mean.tolist(), layer.running_var.tolist()) == ([0, 0, 0], [1, 1, 1])
        assert layer.weight.grad.tolist() == [0, 0, 0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("layer_dtype", ["same", "float32"])
def test_half_precision(dtype, layer_dtype):
    ours, theirs = pair((16, 3, 5), dtype if layer_dtype == "same" else torch.float32)
    x = (torch.randn(16, 3, 5) + 2).to(dtype)
    for _ in range(2):
        y, expected = ours(x), theirs(x)
        assert y.dtype == dtype
        # Outputs of up to about 8 are rounded to dtype; torch also rounds the moments to the layer's type.
        step_size = torch.finfo(dtype).eps
        torch.testing.assert_close(y, expected, rtol=4 * step_size, atol=8 * step_size)
    assert ours.running_mean.dtype == theirs.running_mean.dtype
    resolution = torch.finfo(ours.running_mean.dtype).eps
    torch.testing.assert_close(buffers(ours), buffers(theirs), rtol=4 * resolution, atol=4 * resolution)


@pytest.mark.parametrize("ndim", [2, 3, 4, 5])
def test_state_dicts_load_both_ways(ndim):
    shape = (4, 3, 2, 3, 2)[:ndim]
    ours, theirs = pair(shape)
    ours(torch.randn(shape).double())
    fresh = type(theirs)(3, dtype=torch.float64)
    assert not any(fresh.load_state_dict(ours.state_dict()))
    torch.testing.assert_close(fresh.state_dict(), ours.state_dict(), rtol=0, atol=0)
    assert list(fresh.state_dict()) == list(ours.state_dict())
    assert ours.state_dict()._metadata == theirs.state_dict()._metadata


def test_a_state_dict_without_the_counter_loads():
    state = nn.BatchNorm1d(3).state_dict()
    del state["num_batches_tracked"]
    state._metadata = {"": {"version": 1}}
    layer = nw.BatchNorm1d(3)
    layer.load_state_dict(state)
    assert layer.num_batches_tracked.item() == 0


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_are_equal_and_separate(clone):
    layer = nw.BatchNorm2d(3, activation="leaky_relu:0.1", momentum=None)
    layer(torch.randn(4, 3, 2, 2))
    other, state = clone(layer), copy.deepcopy(layer.state_dict())
    x = torch.randn(4, 3, 2, 2)
    torch.testing.assert_close(other(x), layer(x), rtol=0, atol=0)
    torch.testing.assert_close(other.state_dict(), layer.state_dict(), rtol=0, atol=0)
    other(x)
    assert other.num_batches_tracked.item() == state["num_batches_tracked"].item() + 2
    assert layer.num_batches_tracked.item() == state["num_batches_tracked"].item() + 1
    assert repr(other) == repr(layer)


def test_the_counter_is_changed_in_place():
    layer = nw.BatchNorm1d(3)
    counter, mean = layer.num_batches_tracked, layer.running_mean
    layer(torch.randn(4, 3))
    assert layer.num_batches_tracked is counter
    assert counter.item() == 1
    assert layer.running_mean is mean
    assert mean.any()


def test_two_forwards_before_one_backward():
    layer = nw.BatchNorm1d(3)
    total = layer(torch.randn(4, 3, requires_grad=True)).square().sum() + layer(torch.randn(4, 3)).pow(3).sum()
    layer.running_mean.zero_()
    layer.running_var.fill_(1)
    total.backward()
    assert layer.weight.grad.isfinite().all()


def test_repr_shows_the_activation_only_where_there_is_one():
    for options in ({}, {"affine": False}, {"track_running_stats": False}):
        assert repr(nw.BatchNorm2d(3, **options)) == repr(nn.BatchNorm2d(3, **options))
    assert repr(nw.BatchNorm2d(3, activation="leaky_relu:.10")).endswith(", activation='leaky_relu:0.1')")


@pytest.mark.parametrize(("ours", "theirs"), PAIRS.values())
def test_classes_and_signatures_extend_torchs(ours, theirs):
    assert issubclass(ours, theirs)
    signature, base = (inspect.signature(cls).parameters for cls in (ours, theirs))
    shared = {name: p.default for name, p in base.items()}
    assert {name: signature[name].default for name in base} == shared
    assert [n for n, p in signature.items() if p.kind is p.POSITIONAL_OR_KEYWORD] == [
        n for n, p in base.items() if p.kind is p.POSITIONAL_OR_KEYWORD
    ]
    ours_alone = {"activation", "channel_dim", "small_batch"}
    assert {signature[name].kind for name in ours_alone} == {inspect.Parameter.KEYWORD_ONLY}
    assert ours._version == theirs._version == 2


@pytest.mark.parametrize("momentum", [0.1, None])
def test_compiles_into_one_graph(momentum):
    eager = nw.BatchNorm1d(3, momentum=momentum, activation="leaky_relu:0.1")
    layer = copy.deepcopy(eager)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for _ in range(2):
        x = torch.randn(6, 3)
        torch.testing.assert_close(compiled(x), eager(x), **FLOAT32)
    torch.testing.assert_close(layer.state_dict(), eager.state_dict(), **FLOAT32)


@pytest.mark.parametrize(
    ("layer", "shape", "says"),
    [
        (nw.BatchNorm1d(3), (1, 3), "more than one value per channel when training, got x of shape (1, 3)"),
        (nw.BatchNorm1d(3), (1, 3), "drop_last=True"),
        (nw.BatchNorm2d(3), (1, 3, 1, 1), "more than one value per channel"),
        (nw.BatchNorm1d(3, track_running_stats=False).eval(), (1, 3), "more than one value per channel"),
        (nw.BatchNorm1d(3), (5, 4), "expected 3 channels on axis 1, got x of shape (5, 4)"),
        (nw.BatchNorm1d(3, affine=False), (5, 1), "expected 3 channels"),
        (nw.BatchNorm1d(3), (5, 3, 2, 2), "expected 2D or 3D input (got 4D input)"),
        (nw.BatchNorm2d(3), (5, 3), "expected 4D input (got 2D input)"),
        (nw.BatchNorm3d(3), (5, 3), "expected 5D input (got 2D input)"),
    ],
)
def test_a_batch_that_does_not_fit_is_a_value_error_and_leaves_no_trace(layer, shape, says):
    before = copy.deepcopy(layer.state_dict())
    with pytest.raises(ValueError, match=r".") as error:
        layer(torch.randn(shape))
    assert says in str(error.value)
    torch.testing.assert_close(layer.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("training", [True, False])
def test_a_residual_is_not_broadcast(training):
    with pytest.raises(ShapeError, match=r"residual must have the shape of x, \(5, 3\), got \(1, 3\)"):
        nw.BatchNorm1d(3).train(training)(torch.randn(5, 3), torch.randn(1, 3))


def test_a_single_value_is_fine_in_evaluation():
    ours, theirs = pair((1, 3))
    x = torch.randn(1, 3).double()
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), **FLOAT64)


def test_an_unknown_activation_is_refused_at_once():
    with pytest.raises(InvalidArgumentError, match="unknown activation 'rellu'; did you mean 'relu'"):
        nw.BatchNorm1d(3, activation="rellu")


def test_bias_works_where_torch_does_not_know_it(monkeypatch):
    known = nn.modules.batchnorm._BatchNorm.__init__

    def older(self, num_features, eps, momentum, affine, track_running_stats, device, dtype):
        known(self, num_features, eps, momentum, affine, track_running_stats, device, dtype)

    monkeypatch.setattr(nn.modules.batchnorm._BatchNorm, "__init__", older)
    assert nw.BatchNorm1d(3, bias=False).bias is None
    assert nw.BatchNorm1d(3, affine=False).bias is None
    assert nw.BatchNorm1d(3).bias.tolist() == [0, 0, 0]


def test_the_three_classes_document_the_same_but_for_their_shapes():
    def lines(cls):
        text = re.sub(r"\(N[^)]*\)(, or \(N, C\) as before)?( or \(N, C, L\))?", "(N …)", inspect.getdoc(cls))
        text = re.sub(r"over N[^.]*\.\s", "over N… ", text).replace(cls.__name__, "BatchNorm")
        return re.sub(", section 3.2 for feature maps", "", " ".join(text.split()))

    assert lines(nw.BatchNorm1d) == lines(nw.BatchNorm2d) == lines(nw.BatchNorm3d)
    for name in inspect.signature(nw.BatchNorm1d).parameters:
        assert f"    {name}: " in nw.BatchNorm1d.__doc__
