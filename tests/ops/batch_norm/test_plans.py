"""What was decided for one call holds for the next that looks like it, and for no other."""

from __future__ import annotations

import copy
import gc
import weakref

import pytest
import torch
from torch import nn

import normwise as nw
from normwise import ops
from normwise.errors import InvalidArgumentError, ShapeError, TensorError
from normwise.ops.batch_norm import op
from tensors import same_bits

SHAPE = (6, 4, 5, 5)


@pytest.fixture(autouse=True)
def plans(monkeypatch):
    """The plans of this test alone."""
    monkeypatch.setattr(op, "_PLANS", {})


def step(layer, x, upstream=None):
    """y, gradients and what the layer keeps."""
    x = x.detach().requires_grad_()
    y = layer(x)
    upstream = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view(y.shape) if upstream is None else upstream
    return [y, *torch.autograd.grad(y, [x, *layer.parameters()], upstream), *layer.state_dict().values()]


def again(layer):
    """The layer as if nothing were known of it, made of its state and options alone."""
    fresh = type(layer)(layer.num_features, layer.eps, layer.momentum, activation=layer.activation)
    fresh.to(layer.weight.dtype).load_state_dict(copy.deepcopy(layer.state_dict()))
    return fresh.train(layer.training)


CHANGES = {
    "eps": lambda layer: setattr(layer, "eps", 0.5),
    "activation": lambda layer: setattr(layer, "activation", "silu"),
    "momentum": lambda layer: setattr(layer, "momentum", 0.9),
    "weight": lambda layer: setattr(layer.weight, "data", torch.linspace(1, 2, 8)[::2]),
    "running_mean": lambda layer: setattr(layer.running_mean, "data", torch.linspace(1, 2, 4)),
    "running_var is another tensor": lambda layer: setattr(layer, "running_var", torch.linspace(1, 2, 8)[::2]),
    "a counter is another tensor": lambda layer: setattr(layer, "num_batches_tracked", torch.tensor(7)),
    "half": lambda layer: layer.bfloat16(),
    "evaluation": lambda layer: layer.eval(),
}


@pytest.mark.filterwarnings("ignore::normwise.errors.MomentumWarning")
@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_between_two_calls_is_seen(name):
    layer, x = nw.BatchNorm2d(4, activation="relu"), torch.randn(SHAPE)
    step(layer, x)
    before = op._PLANS
    CHANGES[name](layer)
    other, op._PLANS = again(layer), {}
    want = step(other, x)
    op._PLANS = before  # nothing is known but what came before the change
    # Statistics that do not lie side by side are moved in plain torch, whose last digit may be another.
    torch.testing.assert_close(step(layer, x), want, rtol=2.0**-22, atol=0)


def test_a_copy_moves_its_own_statistics():
    layer, x = nw.BatchNorm2d(4), torch.randn(SHAPE)
    layer(x)
    copied, before = copy.deepcopy(layer), copy.deepcopy(layer.state_dict())
    copied(x)
    same_bits(list(layer.state_dict().values()), list(before.values()))
    assert copied.num_batches_tracked == 2


def test_every_layout_of_the_gradient_is_read_as_it_lies():
    layer, x = nw.BatchNorm2d(4, activation="relu"), torch.randn(SHAPE)
    upstream = torch.randn(SHAPE)
    want = step(copy.deepcopy(layer), x, upstream)
    for laid in (
        upstream.contiguous(memory_format=torch.channels_last),
        upstream.transpose(2, 3).contiguous().transpose(2, 3),
        upstream.clone(),
    ):
        same_bits(step(copy.deepcopy(layer), x, laid), want)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda given: given | {"weight": torch.ones(3)}, ShapeError),
        (lambda given: given | {"bias": torch.ones(4, dtype=torch.int64)}, TensorError),
        (lambda given: given | {"residual": torch.ones(6, 4, 5, 1)}, ShapeError),
        (lambda given: given | {"mask": torch.ones(2, 5, 5, dtype=torch.bool)}, ShapeError),
        (lambda given: given | {"eps": -1.0}, InvalidArgumentError),
        (lambda given: given | {"activation": ["relu"]}, InvalidArgumentError),
        (lambda given: given | {"groups": 4}, ShapeError),
    ],
    ids=["weight", "bias", "residual", "mask", "eps", "an option that cannot be hashed", "groups"],
)
def test_a_call_that_is_like_none_before_is_checked(change, error):
    given = {"x": torch.randn(SHAPE), "weight": torch.ones(4), "bias": torch.zeros(4), "eps": 1e-5}
    ops.batch_norm(**given)
    for _ in range(2):
        with pytest.raises(error):
            ops.batch_norm(**change(given))


def test_plans_are_few_and_hold_no_tensor(monkeypatch):
    monkeypatch.setattr(op, "_MOST_PLANS", 5)
    x = torch.randn(12, 3)
    watched = weakref.ref(x)
    for n in range(2, 12):
        ops.batch_norm(x[:n], None, None, eps=1e-5)
        assert len(op._PLANS) <= 5
    del x
    gc.collect()
    assert watched() is None


def test_only_ordinary_calls_are_remembered():
    x = torch.randn(6, 3)
    torch.func.vmap(lambda x: ops.batch_norm(x, None, None, eps=1e-5).y)(torch.randn(2, 6, 3))
    ops.batch_norm(torch._neg_view(x), None, None, eps=1e-5)
    assert not op._PLANS
    ops.batch_norm(x, None, None, eps=1e-5)
    assert len(op._PLANS) == 1


def test_a_parametrized_layer_takes_its_computed_weight():
    class Double(nn.Module):
        def forward(self, weight):
            return 2 * weight

    x, plain = torch.randn(SHAPE), nw.BatchNorm2d(4)
    layer = nw.BatchNorm2d(4)
    nn.utils.parametrize.register_parametrization(layer, "weight", Double())
    same_bits(layer(x), torch.nn.functional.batch_norm(x, None, None, training=True) * 0 + 2 * plain(x))


OTHERS = {
    "eps": {"eps": 0.5},
    "activation": {"activation": "silu"},
    "channel_dim": {"channel_dim": 2},
    "groups": {"groups": 2},
    "impl": {"impl": "reference"},
}


def call(x, **options):
    x, given = x.detach().requires_grad_(), {"eps": 1e-5, "activation": "relu"} | options
    weight, bias = torch.linspace(1, 2, 4, dtype=x.dtype), torch.linspace(-1, 1, 4, dtype=x.dtype)
    out = ops.batch_norm(x, weight, bias, **given)
    return [*out, *torch.autograd.grad(out.y, x, torch.linspace(-1, 1, x.numel(), dtype=x.dtype).view(x.shape))]


@pytest.mark.parametrize("name", OTHERS)
def test_calls_of_other_options_are_other_calls(name):
    x = torch.randn(6, 4, 4, 4)
    call(x)
    got, op._PLANS = call(x, **OTHERS[name]), {}
    same_bits(got, call(x, **OTHERS[name]))


LOOKS = {
    "type": lambda x: x.double(),
    "strides": lambda x: x.transpose(2, 3),
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "shape": lambda x: x[:3],
}


@pytest.mark.parametrize("name", LOOKS)
def test_calls_of_other_tensors_are_other_calls(name):
    x = torch.randn(6, 4, 4, 4)
    call(x)
    got, op._PLANS = call(LOOKS[name](x)), {}
    same_bits(got, call(LOOKS[name](x)))


def test_a_number_of_groups_that_is_not_whole_is_refused_and_spoils_nothing():
    x = torch.randn(6, 4, 4, 4)
    with pytest.raises(ShapeError, match="whole number"):
        ops.batch_norm(x, None, None, eps=1e-5, groups=2.0)
    assert ops.batch_norm(x, None, None, eps=1e-5, groups=2).mean.shape == (2, 4)


def packed(pack):
    """Hooks on saved tensors: what the backward gets is as large and has the same values."""
    return torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)


@pytest.mark.parametrize("hooked", [(True, False, False), (False, True, False)], ids=str)
def test_a_saved_input_that_a_hook_has_laid_out_anew(hooked):
    """Offloading and compressing hooks do that; what is remembered of one is taken for no other."""
    x = torch.randn(SHAPE).contiguous(memory_format=torch.channels_last)
    upstream, layer = torch.randn(SHAPE), nw.BatchNorm2d(4, activation="silu")
    want = step(copy.deepcopy(layer), x, upstream)
    for with_hook in hooked:
        other = copy.deepcopy(layer)
        with packed(lambda t: t.contiguous() if with_hook else t):  # noqa: B023 - called within
            got = step(other, x, upstream)
        # Planes and rows add up in another order.
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


def test_memory_that_is_given_back_before_the_backward_is_an_error():
    """As pipelines do by assigning to ``.data``; nothing is read where the values were."""
    for name in ("x", "weight"):
        x, layer = torch.randn(SHAPE, requires_grad=True), nw.BatchNorm2d(4)
        layer(x.detach().requires_grad_()).sum().backward()
        y = layer(x)
        (x if name == "x" else layer.weight).data = torch.empty(1)
        with pytest.raises((ShapeError, IndexError, RuntimeError)):
            y.backward(torch.randn(SHAPE))


def shorten(layer):
    """As generic pruning does: tensors end earlier, at their old addresses."""
    for tensor in (*layer.parameters(), layer.running_mean, layer.running_var, layer.skipped):
        tensor.data = tensor.data[:2]


def stretch(layer):
    """The same address, and every second value."""
    layer.running_mean.data = layer.running_mean.data.as_strided((4,), (2,))


@pytest.mark.parametrize("change", [shorten, stretch])
def test_statistics_that_lie_otherwise_at_their_old_address_are_moved_as_they_lie(change):
    layer, x = nw.BatchNorm1d(4), torch.randn(6, 4)
    layer.running_mean.data = torch.zeros(8)[:4]
    layer(x)
    change(layer)
    x = x[:, : layer.running_mean.shape[0]]
    before = layer.running_mean.clone()
    layer(x)
    torch.testing.assert_close(layer.running_mean, 0.9 * before + 0.1 * x.mean(0))
