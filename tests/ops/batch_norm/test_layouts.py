"""Wherever the values lie in memory, the answers are the same, and nothing else is read or written."""

from __future__ import annotations

import math
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from normwise.ops import batch_norm
from tensors import EPS, draw, expected, outcome, permuted_strides, poisoned, same_bits

IMPLS = ["reference", "torch", "cpu"]
EVERYTHING = ["reference", "cpu"]  # the implementations that take any channel_dim
# Float64: a few operations on sums of some hundred terms of about 1, in any order.
FLOAT64 = {"rtol": 1e-9, "atol": 1e-11}
SHAPE = (6, 5, 7, 3)


pytestmark = pytest.mark.usefixtures("unwritten_outputs_show")


def _dense(order):
    return lambda shape: permuted_strides(shape, order, gap=0)


def _gaps(order, gap, step=1):
    return lambda shape: permuted_strides(shape, order, gap, step)


# name: from a shape to strides. Axes are N, C, H, W.
STRIDES = {
    "contiguous": _dense((0, 1, 2, 3)),
    "channels last": _dense((0, 2, 3, 1)),
    "batch inside": _dense((1, 2, 3, 0)),
    "channels first": _dense((1, 0, 2, 3)),
    "width before height": _dense((0, 1, 3, 2)),
    "channels between": _dense((0, 2, 1, 3)),
    "all reversed": _dense((3, 2, 1, 0)),
    "gaps": _gaps((0, 1, 2, 3), 3),
    "every second value": _gaps((0, 1, 2, 3), 0, step=2),
    "channels last with gaps": _gaps((0, 2, 3, 1), 5),
    "every third channel": _gaps((0, 2, 3, 1), 1, step=3),
    "all reversed with gaps": _gaps((3, 2, 1, 0), 2, step=2),
}


@pytest.mark.parametrize("strides", STRIDES)
@pytest.mark.parametrize("impl", IMPLS)
def test_strides_of_the_input(impl, strides):
    inputs, upstream = draw(SHAPE, 5)
    want = expected(inputs, upstream, activation="silu")
    inputs["x"], buffer = poisoned(inputs["x"], STRIDES[strides](SHAPE))
    before = buffer.detach().clone()
    torch.testing.assert_close(outcome(inputs, upstream, activation="silu", impl=impl), want, **FLOAT64)
    same_bits(buffer.detach(), before)


@pytest.mark.parametrize("name", ["residual", "upstream"])
@pytest.mark.parametrize("x_strides", ["contiguous", "channels last", "gaps", "all reversed"])
@pytest.mark.parametrize("strides", STRIDES)
@pytest.mark.parametrize("impl", IMPLS)
def test_strides_of_residual_and_upstream(impl, strides, x_strides, name):
    inputs, upstream = draw(SHAPE, 5)
    want = expected(inputs, upstream, activation="silu")
    inputs["x"], _ = poisoned(inputs["x"], STRIDES[x_strides](SHAPE))
    if name == "residual":
        inputs["residual"], buffer = poisoned(inputs["residual"], STRIDES[strides](SHAPE))
    else:
        upstream, buffer = poisoned(upstream, STRIDES[strides](SHAPE))
    before = buffer.detach().clone()
    torch.testing.assert_close(outcome(inputs, upstream, activation="silu", impl=impl), want, **FLOAT64)
    same_bits(buffer.detach(), before)


EXPANDED = [
    (1, 1, 1, 1),
    (1, 5, 1, 1),
    (6, 1, 1, 1),
    (6, 5, 1, 1),
    (6, 5, 7, 1),
    (1, 5, 7, 3),
    (6, 1, 7, 3),
    (6, 5, 1, 3),
]


@pytest.mark.parametrize("kept", EXPANDED, ids=str)
@pytest.mark.parametrize("name", ["x", "residual", "upstream"])
@pytest.mark.parametrize("impl", IMPLS)
def test_axes_of_stride_zero(impl, name, kept):
    inputs, upstream = draw(SHAPE, 5)
    given = {**inputs, "upstream": upstream}
    given[name] = torch.randn(kept, dtype=torch.float64).expand(SHAPE).requires_grad_(name != "upstream")
    upstream = given.pop("upstream")
    got = outcome(given, upstream, activation="silu", impl=impl)
    # A constant channel (σ = 0) makes 1/√ε = 316 of every rounding, and its square in the gradient of x.
    torch.testing.assert_close(got, expected(given, upstream, activation="silu"), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("impl", IMPLS)
def test_the_gradient_of_a_sum(impl, channels_last):
    """``y.sum()`` sends a gradient of stride 0; after tanh it is not blind to anything."""
    inputs, _ = draw(SHAPE, 5)
    want = expected(inputs, torch.ones(SHAPE), activation="tanh")
    if channels_last:
        inputs["x"] = inputs["x"].detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    x, weight, bias, residual = inputs.values()
    batch_norm(x, weight, bias, residual=residual, eps=EPS, activation="tanh", impl=impl).y.sum().backward()
    got = {f"d_{name}": t.grad for name, t in inputs.items()}
    torch.testing.assert_close(got, {name: want[name] for name in got}, **FLOAT64)


@pytest.mark.parametrize("impl", IMPLS)
def test_windows_that_overlap(impl):
    inputs, upstream = draw((8, 5, 4), 5)
    inputs["x"] = torch.randn(11, 5, dtype=torch.float64).unfold(0, 4, 1).requires_grad_()
    torch.testing.assert_close(outcome(inputs, upstream, impl=impl), expected(inputs, upstream), **FLOAT64)


@pytest.mark.parametrize("strides", [(0,), (2,), (7,)], ids=str)
@pytest.mark.parametrize("impl", IMPLS)
def test_strides_of_weight_and_bias(impl, strides):
    inputs, upstream = draw(SHAPE, 5)
    for name in ("weight", "bias"):
        inputs[name] = poisoned(inputs[name], strides)[0]
    torch.testing.assert_close(outcome(inputs, upstream, impl=impl), expected(inputs, upstream), **FLOAT64)


SHAPES = [
    (7, 5),
    (1, 5, 3),
    (3, 1, 4),
    (3, 4, 1),
    (9, 3, 17),
    (2, 5, 3, 3, 5),
    (4, 3, 2, 1, 2, 3),
    (33, 65),
    (5, 67, 31),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("where", [0, 1, 2, -1, -2])
@pytest.mark.parametrize("impl", EVERYTHING)
def test_channel_dim(impl, where, shape):
    if not -len(shape) <= where < len(shape):
        where = 1
    inputs, upstream = draw(shape, shape[where])
    got = outcome(inputs, upstream, activation="silu", channel_dim=where, impl=impl)
    torch.testing.assert_close(got, expected(inputs, upstream, where, "silu"), **FLOAT64)


@pytest.mark.parametrize("where", [0, 2, -1])
@pytest.mark.parametrize("strides", STRIDES)
@pytest.mark.parametrize("impl", EVERYTHING)
def test_channel_dim_of_any_strides(impl, strides, where):
    inputs, upstream = draw(SHAPE, SHAPE[where])
    want = expected(inputs, upstream, where, "silu")
    inputs["x"], _ = poisoned(inputs["x"], STRIDES[strides](SHAPE))
    got = outcome(inputs, upstream, activation="silu", channel_dim=where, impl=impl)
    torch.testing.assert_close(got, want, **FLOAT64)


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("strides", STRIDES)
@pytest.mark.parametrize("impl", EVERYTHING)
def test_masks_and_groups(impl, strides, masked, groups):
    inputs, upstream = draw(SHAPE, 5)
    mask = torch.rand(6, 7, 3) > 0.4 if masked else None
    want = expected(inputs, upstream, activation="silu", mask=mask, groups=groups)
    inputs["x"], _ = poisoned(inputs["x"], STRIDES[strides](SHAPE))
    options = {"activation": "silu", "mask": mask, "groups": groups, "impl": impl}
    torch.testing.assert_close(outcome(inputs, upstream, **options), want, **FLOAT64)


@pytest.mark.parametrize("kept", [(6, 1, 1), (1, 7, 1), (7, 3), (6, 7, 3), (6, 1, 7, 3), (1, 1, 7, 1)], ids=str)
@pytest.mark.parametrize("impl", EVERYTHING)
def test_masks_broadcast(impl, kept):
    inputs, upstream = draw(SHAPE, 5)
    mask = torch.rand(kept) > 0.3
    full = (mask if mask.ndim < 4 else mask.squeeze(1)).expand(6, 7, 3)
    got = outcome(inputs, upstream, mask=mask, impl=impl)
    torch.testing.assert_close(got, expected(inputs, upstream, mask=full), **FLOAT64)


@pytest.mark.parametrize("strides", ["contiguous", "channels last", "gaps"])
@pytest.mark.parametrize("impl", EVERYTHING)
def test_nan_behind_a_mask_goes_nowhere(impl, strides):
    inputs, upstream = draw(SHAPE, 5)
    mask = torch.rand(6, 7, 3) > 0.4
    hidden = {"activation": "silu", "mask": mask, "groups": 2, "impl": impl}
    want = outcome(inputs, upstream, **hidden)
    for name in ("x", "residual"):
        inputs[name] = torch.where(mask.unsqueeze(1), inputs[name].detach(), math.nan)
        inputs[name] = poisoned(inputs[name], STRIDES[strides](SHAPE))[0].requires_grad_()
    upstream = torch.where(mask.unsqueeze(1), upstream, math.nan)
    torch.testing.assert_close(outcome(inputs, upstream, **hidden), want, **FLOAT64)


@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 5), (4, 3, 0), (4, 0), (0, 0), (4, 0, 3), (0, 3, 2, 2)], ids=str)
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("impl", EVERYTHING)
def test_nothing_to_normalize(impl, groups, shape):
    inputs, upstream = draw(shape, shape[1])
    got = outcome(inputs, upstream, activation="silu", groups=groups, impl=impl)
    assert got["y"].shape == got["d_x"].shape == got["d_residual"].shape == shape
    moments = (shape[1],) if groups == 1 else (groups, shape[1])
    for name in ("mean", "var", "count"):
        assert got[name].shape == moments
    assert got["d_weight"].shape == got["d_bias"].shape == (shape[1],)
    assert not any(t.any() for t in got.values())


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1), (1, 3, 1, 1)], ids=str)
@pytest.mark.parametrize("impl", EVERYTHING)
def test_one_value_per_channel(impl, shape):
    inputs, upstream = draw(shape, 3)
    got = outcome(inputs, upstream, impl=impl)
    # The gradient of x is g·γ/√ε − γ/√ε·g, which is 0 or a rounding of its terms: 2⁻⁵³·316.
    torch.testing.assert_close(got, expected(inputs, upstream), rtol=1e-12, atol=1e-12)


FORMATS = {
    "contiguous": (SHAPE, torch.contiguous_format),
    "channels_last": (SHAPE, torch.channels_last),
    "channels_last, one position": ((6, 5, 1, 1), torch.channels_last),
    "channels_last, one channel": ((6, 1, 7, 3), torch.channels_last),
    "channels_last_3d": ((3, 5, 2, 4, 3), torch.channels_last_3d),
}


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("impl", IMPLS)
def test_memory_format_is_kept_as_torch_keeps_it(impl, form, gaps):
    shape, memory_format = FORMATS[form]
    if gaps:
        x = torch.randn(shape[0], 2 * shape[1], *shape[2:]).contiguous(memory_format=memory_format)[:, : shape[1]]
    else:
        x = torch.randn(shape).contiguous(memory_format=memory_format)
    x.requires_grad_()
    theirs = torch.nn.functional.batch_norm(x, None, None, training=True)
    (their_gradient,) = torch.autograd.grad(theirs, x, torch.ones_like(theirs))
    ours = batch_norm(x, None, None, eps=EPS, activation="relu", impl=impl).y
    (our_gradient,) = torch.autograd.grad(ours, x, torch.ones_like(ours))
    for kind in (memory_format, torch.contiguous_format):
        assert ours.is_contiguous(memory_format=kind) == theirs.is_contiguous(memory_format=kind)
        assert our_gradient.is_contiguous(memory_format=kind) == their_gradient.is_contiguous(memory_format=kind)


@pytest.fixture
def guarded(monkeypatch):
    """Whatever torch.empty and its kin give lies in the middle of a longer buffer; a list of those buffers."""
    buffers = []

    def in_the_middle(allocate):
        def guard(*args, **kwargs):
            plain = allocate(*args, **kwargs)
            if not plain.is_floating_point():
                return plain
            view, buffer = poisoned(plain, plain.stride())
            buffers.append(buffer)
            return view

        return guard

    for name in ("empty", "empty_like", "empty_strided"):
        monkeypatch.setattr(torch, name, in_the_middle(getattr(torch, name)))
    return buffers


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("shape", [(6, 5, 7, 3), (1, 1, 1, 1), (3, 17, 5, 5), (2, 70, 33, 1), (3, 1, 67, 1)], ids=str)
@pytest.mark.parametrize("strides", STRIDES)
@pytest.mark.parametrize("impl", ["cpu"])
def test_nothing_is_written_around_the_outputs(guarded, impl, strides, shape, masked, dtype):
    inputs, upstream = draw(shape, shape[1], dtype)
    inputs["x"], _ = poisoned(inputs["x"], STRIDES[strides](shape))
    mask = torch.rand(shape[0], *shape[2:]) > 0.4 if masked else None
    got = outcome(inputs, upstream, activation="relu", mask=mask, impl=impl)
    assert got["y"].untyped_storage().data_ptr() in {buffer.data_ptr() for buffer in guarded}
    for buffer in guarded:
        assert buffer[:64].isnan().all()
        assert buffer[-64:].isnan().all()
    assert not any(t.isnan().any() for t in got.values())


def _strides(draw_, shape):
    order = draw_(st.permutations(range(len(shape))))
    strides = permuted_strides(shape, order, draw_(st.integers(0, 3)), draw_(st.integers(1, 3)))
    return [s if draw_(st.integers(0, 9)) else 0 for s in strides]


@st.composite
def calls(draw_):
    """Inputs, an upstream gradient and options of ``batch_norm``, of any shape, layout and combination."""
    shape = draw_(st.lists(st.sampled_from([0, 1, 1, 2, 2, 3, 4, 5, 9, 17]), min_size=2, max_size=5))
    channel_dim = draw_(st.integers(-len(shape), len(shape) - 1))
    example = 1 if channel_dim % len(shape) == 0 else 0
    groups = draw_(st.sampled_from([1, 1, 2, 3]))
    shape[example] *= groups
    torch.manual_seed(draw_(st.integers(0, 2**16)))
    inputs, upstream = draw(shape, shape[channel_dim])
    large = ("x", "residual")
    laid = {n: poisoned(t.detach(), _strides(draw_, shape))[0] if n in large else t.detach() for n, t in inputs.items()}
    given = {n: t.requires_grad_() for n, t in laid.items() if n == "x" or draw_(st.booleans())}
    positions = [n for dim, n in enumerate(shape) if dim != channel_dim % len(shape)]
    mask = torch.rand([n if draw_(st.booleans()) else 1 for n in positions]) > 0.3 if draw_(st.booleans()) else None
    options = {"mask": mask, "groups": groups, "channel_dim": channel_dim}
    options["activation"] = draw_(st.sampled_from([None, "silu"]))
    return given, poisoned(upstream, _strides(draw_, shape))[0], options


@pytest.mark.parametrize("impl", ["cpu"])
@settings(deadline=None, max_examples=200)
@given(call=calls())
def test_any_call_gives_what_the_reference_gives(impl, call):
    inputs, upstream, options = call
    got, want = (outcome(inputs, upstream, **options, impl=impl) for impl in (impl, "reference"))
    # Two or three values may lie so close that σ is √ε, which makes 1/σ³ = 3e7 of a rounding of the largest gradients.
    torch.testing.assert_close(got, want, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("impl", ["cpu"])
def test_sizes_around_those_of_vectors(impl):
    """Sizes from 1 to 40 of rows, channels and positions: where vectors end, tails begin."""
    pick = random.Random(0)
    for _ in range(300):
        shape = [pick.randint(1, 40) for _ in range(3)]
        x = torch.randn(shape).transpose(1, 2) if pick.random() < 0.5 else torch.randn(shape)
        x.requires_grad_()
        upstream = torch.randn_like(x)
        got, want = (outcome({"x": x}, upstream, activation="tanh", impl=impl) for impl in (impl, "reference"))
        # Float32 with σ near 1; one to three values per channel can have a σ of 0.05, and 1/σ² makes 400 of a rounding.
        torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-3)
