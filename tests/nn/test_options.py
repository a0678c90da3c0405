"""Which options go together, and mistakes that are errors."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from torch import nn

import normwise as nw
import oracle
from normwise.errors import InvalidArgumentError, ShapeError, TensorError

OPTIONS = {
    "activation": {"activation": "silu"},
    "channel_dim": {"channel_dim": -1},
    "small_batch": {"small_batch": "running"},
    "momentum": {"momentum": None},
    "eps": {"eps": 0.1},
    "affine": {"affine": False},
    "bias": {"bias": False},
    "statistics": {"track_running_stats": False},
    "dtype": {"dtype": torch.float32},
}
CALLS = ("residual", "mask")
UNSUPPORTED = {
    frozenset({"small_batch", "statistics"}): "small_batch='running' needs running statistics",
}
"""Of the pairs of options, those that do not go together. Every other pair does."""

PAIRS = [frozenset(pair) for pair in itertools.combinations([*OPTIONS, *CALLS], 2)]


def named(pair):
    return "+".join(sorted(pair))


def built(names, dtype=torch.float64):
    given = {"dtype": dtype}
    for name in names:
        given |= OPTIONS.get(name, {})
    layer = nw.BatchNorm1d(3, **given)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer


def given_to_oracle(layer, residual, mask):
    """All arguments but x, which has its channels on axis 1 like the others."""
    vectors = [
        np.full(3, fallback) if parameter is None else parameter.detach().numpy()
        for parameter, fallback in ((layer.weight, 1.0), (layer.bias, 0.0))
    ]
    arrays = [None if t is None else t.detach().numpy() for t in (residual, mask)]
    return *vectors, layer.eps, arrays[0], layer.activation or "identity", arrays[1]


def expectation(layer, x, residual, mask):
    return oracle.forward(x.detach().numpy(), *given_to_oracle(layer, residual, mask))


def gradient(layer, x, residual, mask, upstream):
    return oracle.backward(upstream.numpy(), x.detach().numpy(), *given_to_oracle(layer, residual, mask)).x


@pytest.mark.parametrize("pair", [p for p in PAIRS if p not in UNSUPPORTED], ids=named)
def test_a_pair_that_goes_together_does_what_both_say(pair):
    layer = built(pair)
    dtype = OPTIONS["dtype"]["dtype"] if "dtype" in pair else torch.float64
    x, upstream = torch.randn(4, 3, 7).to(dtype), torch.randn(4, 3, 7).to(dtype)
    residual = torch.randn(4, 3, 7).to(dtype) if "residual" in pair else None
    mask = torch.rand(4, 7) > 0.3 if "mask" in pair else None
    arranged = [None if t is None else t.movedim(1, layer.channel_dim) for t in (x, residual)]
    arranged[0] = arranged[0].detach().requires_grad_()
    y = layer(*arranged, mask)
    want = expectation(layer, x, residual, mask)
    # A hundred values of about 1 are added, in float64 or float32.
    tolerance = {"rtol": 1e-9, "atol": 1e-11} if dtype is torch.float64 else {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(y.movedim(layer.channel_dim, 1).double(), torch.tensor(want.y), **tolerance)
    (grad,) = torch.autograd.grad(y, arranged[0], upstream.movedim(1, layer.channel_dim))
    back = gradient(layer, x, residual, mask, upstream)
    torch.testing.assert_close(grad.movedim(layer.channel_dim, 1).double(), torch.tensor(back), **tolerance)
    if layer.running_mean is not None:
        share = 1.0 if layer.momentum is None else layer.momentum
        torch.testing.assert_close(layer.running_mean.double(), torch.tensor(share * want.mean), **tolerance)
        unbiased = 1 - share + share * want.var * want.count / (want.count - 1)
        torch.testing.assert_close(layer.running_var.double(), torch.tensor(unbiased), **tolerance)


@pytest.mark.parametrize("pair", UNSUPPORTED, ids=named)
def test_a_pair_that_does_not_raises_at_construction(pair):
    with pytest.raises(InvalidArgumentError) as raised:
        built(pair)
    assert UNSUPPORTED[pair] in str(raised.value)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"channel_dim": 2}, "channel_dim must be 1, for (N, C, …), or -1, for (N, …, C), got 2"),
        ({"small_batch": "runing"}, "unknown small_batch 'runing'; did you mean 'running'"),
        ({"activation": "rellu"}, "unknown activation 'rellu'; did you mean 'relu'"),
    ],
)
def test_a_mistake_is_a_value_error_at_construction(given, says):
    with pytest.raises(InvalidArgumentError) as raised:
        nw.BatchNorm2d(3, **given)
    assert says in str(raised.value)
    assert isinstance(raised.value, ValueError)


@pytest.mark.parametrize("make", [nw.BatchNorm1d, nn.BatchNorm1d])
@pytest.mark.parametrize("shape", [(6, 4), (1000, 4, 90)], ids=str)
@pytest.mark.parametrize("eps", [0.0, -1e-5])
def test_training_needs_a_positive_eps(make, shape, eps):
    layer = make(4, eps=eps)
    with pytest.raises(ValueError, match="eps must be positive"):
        layer(torch.randn(shape))
    assert not layer.running_mean.any()
    assert layer.num_batches_tracked.item() == (0 if make is nw.BatchNorm1d else 1)


@pytest.mark.parametrize("make", [nw.BatchNorm1d, nn.BatchNorm1d])
def test_evaluation_with_eps_0_is_the_formula(make):
    x = torch.randn(6, 4)
    torch.testing.assert_close(make(4, eps=0.0).eval()(x), x)


@pytest.mark.parametrize(
    "make",
    [nw.BatchNorm1d, pytest.param(nn.BatchNorm1d, marks=pytest.mark.xfail(strict=True, reason="NaN in silence"))],
)
@pytest.mark.parametrize("eps", [-1e-5, float("nan")])
def test_evaluation_with_a_negative_eps_is_an_error(make, eps):
    layer = make(4, eps=eps).eval()
    layer.running_var.zero_()
    with pytest.raises(ValueError, match=f"eps must be positive, got {eps}"):
        layer(torch.randn(6, 4))


def test_eps_that_is_changed_later_is_seen():
    layer = nw.BatchNorm1d(4)
    layer.eps = -1.0
    with pytest.raises(InvalidArgumentError, match=r"eps must be positive when training, got -1\.0"):
        layer(torch.randn(6, 4))


@pytest.mark.parametrize("shape", [(6, 5), (6, 4, 2, 2), (6,)], ids=str)
def test_what_torch_refuses_with_an_error_is_refused_with_one_of_its_classes(shape):
    errors = []
    for make in (nw.BatchNorm1d, nn.BatchNorm1d):
        with pytest.raises((ValueError, RuntimeError)) as raised:
            make(4)(torch.randn(shape))
        errors.append(raised.value)
    assert isinstance(errors[0], type(errors[1]))


def test_a_statistic_without_the_other_is_an_error():
    layer = nw.BatchNorm1d(4).eval()
    layer.running_var = None
    with pytest.raises(InvalidArgumentError, match="both be tensors or both be None"):
        layer(torch.randn(6, 4))


def test_options_show_in_the_repr_where_they_are_not_the_default():
    layer = nw.BatchNorm1d(4, channel_dim=-1, small_batch="running", activation="relu")
    assert repr(layer).endswith("track_running_stats=True, activation='relu', channel_dim=-1, small_batch='running')")


@pytest.mark.parametrize("option", ["channel_dim", "small_batch"])
def test_options_survive_copies_and_state_dicts_stay_torchs(option):
    layer = built([option])
    twin = copy.deepcopy(layer)
    assert getattr(twin, option) == getattr(layer, option)
    assert list(layer.state_dict()) == list(nn.BatchNorm1d(3).state_dict())


def test_a_residual_of_another_shape_is_a_shape_error():
    with pytest.raises(ShapeError, match="residual must have the shape of x"):
        nw.BatchNorm1d(3)(torch.randn(4, 3), torch.randn(4, 1))


KEPT = ("activation", "small_batch", "momentum", "bias", "residual", "mask")


@pytest.mark.parametrize("names", [KEPT, (*KEPT, "channel_dim"), ("affine",), ("statistics",)], ids="+".join)
@pytest.mark.parametrize("training", [True, False])
def test_every_option_keeps_the_fused_kernel(names, training):
    layer = built(names).train(training)
    x = torch.randn(16, 3, 2000).double().movedim(1, layer.channel_dim).contiguous()
    mask = torch.rand(16, 2000) > 0.5 if "mask" in names else None
    assert nw.explain(x, mask=mask, channel_dim=layer.channel_dim, training=training).impl == "cpu"
    y = layer(x.requires_grad_(), torch.randn_like(x) if "residual" in names else None, mask)
    normalizes = training or layer.running_mean is None
    assert y.grad_fn.name() == ("BatchNormFunctionBackward" if normalizes else "NormalizeFunctionBackward")


def test_explain_says_where_it_cannot(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    x, mask = torch.randn(8, 3, 9000).half(), torch.ones(8, 9000).bool()
    found = nw.explain(x, mask=mask)
    assert found.impl == "reference"
    assert found.others == {
        "cpu": "it needs float32, float64 or bfloat16, got float16",
        "triton": "it needs tensors on a GPU, got one on cpu",
        "torch": "it takes no mask",
    }


@pytest.mark.parametrize("make", [nw.BatchNorm1d, nn.BatchNorm1d])
@pytest.mark.parametrize("size", [0, 1, 3, 8])
def test_a_weight_of_another_size_is_a_runtime_error(make, size):
    layer = make(4)
    layer.weight = nn.Parameter(torch.ones(size))
    with pytest.raises(RuntimeError, match="weight"):
        layer(torch.randn(6, 4))


def test_a_layer_that_knows_only_its_number_of_features_asks_for_them():
    with pytest.raises(ShapeError, match=r"expected 3 channels on axis 1, got x of shape \(6, 5\)"):
        nw.BatchNorm1d(3, affine=False, track_running_stats=False)(torch.randn(6, 5))


@pytest.mark.parametrize("make", [nw.BatchNorm1d, nn.BatchNorm1d])
@pytest.mark.parametrize("x", [torch.ones(6, 4).int(), torch.ones(6, 4, dtype=torch.cfloat)], ids=["int", "complex"])
def test_a_type_that_cannot_be_normalized_is_a_runtime_error(make, x):
    with pytest.raises(RuntimeError):
        make(4)(x)


@pytest.mark.parametrize("make", [nw.BatchNorm1d, nn.BatchNorm1d])
def test_the_input_may_be_named_as_torch_names_it(make):
    assert make(4)(input=torch.randn(6, 4)).shape == (6, 4)


def test_a_mask_that_is_no_tensor_and_an_activation_that_is_no_name_are_errors():
    with pytest.raises(TensorError, match="mask must be a boolean tensor, got list"):
        nw.BatchNorm1d(4)(torch.randn(3, 4), mask=[True, False, True])
    with pytest.raises(InvalidArgumentError, match="written as a string such as 'relu', got 3"):
        nw.BatchNorm1d(4, activation=3)
