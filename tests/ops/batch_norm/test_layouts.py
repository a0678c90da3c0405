"""Wherever the values lie in memory, the answers are the same, and nothing else is read or written."""

from __future__ import annotations

import contextlib
import math
import random
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from normwise.ops import batch_norm
from tensors import EPS, INPUTS, draw, expected, outcome, permuted_strides, poisoned, same_bits

IMPLS = ["reference", "torch", "cpu"]
EVERYTHING = ["reference", "cpu"]  # the implementations that take any channel_dim
# Float64: a few operations on sums of some hundred terms of about 1, in any order.
FLOAT64 = {"rtol": 1e-9, "atol": 1e-11}
SHAPE = (6, 5, 7, 3)


pytestmark = pytest.mark.usefixtures("unwritten_outputs_show")


@contextlib.contextmanager
def guarded():
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

    with contextlib.ExitStack() as patches:
        for name in ("empty", "empty_like", "empty_strided"):
            patches.enter_context(mock.patch.object(torch, name, in_the_middle(getattr(torch, name))))
        yield buffers


def around(buffers) -> torch.Tensor:
    """What lies before and after the tensors in the middle of buffers."""
    return torch.cat([torch.cat([buffer[:64], buffer[-64:]]).double() for buffer in buffers])


def computed(inputs, upstream, impl, **options):
    """The outcome, by the kernels in guarded memory."""
    if impl != "cpu":
        return outcome(inputs, upstream, impl=impl, **options)
    with guarded() as buffers:
        got = outcome(inputs, upstream, impl=impl, **options)
    assert got["y"].untyped_storage().data_ptr() in {buffer.data_ptr() for buffer in buffers}
    assert around(buffers).isnan().all()
    return got


# Any call: shapes, strides, gaps, masks, groups and the channel's axis.


def _strides(draw_, shape):
    order = draw_(st.permutations(range(len(shape))))
    strides = permuted_strides(shape, order, draw_(st.integers(0, 3)), draw_(st.integers(1, 3)))
    return [s if draw_(st.integers(0, 9)) else 0 for s in strides]


def _mask(draw_, positions, channel_dim):
    """A mask that broadcasts: with axes of size 1 or left out, with that of the channels or without; and in full."""
    kept = torch.rand([n if draw_(st.integers(0, 3)) else 1 for n in positions]) > draw_(st.sampled_from([0.3, 0.9]))
    full = kept.expand(positions)
    if draw_(st.booleans()):
        return kept.unsqueeze(channel_dim), full
    while kept.ndim > 1 and len(kept) == 1 and draw_(st.booleans()):
        kept = kept[0]
    return kept, full


@st.composite
def calls(draw_):
    """Inputs, an upstream gradient, options, and the mask in full, of any shape, layout and combination.

    Everything lies between NaN, and what a mask hides is NaN too, half the time.
    """
    shapes = st.lists(st.sampled_from([0, 1, 1, 2, 2, 3, 4, 5, 9, 17]), min_size=2, max_size=5)
    shape = draw_(shapes.filter(lambda shape: math.prod(shape) < 5000))
    channel_dim = draw_(st.integers(-len(shape), len(shape) - 1))
    example = 1 if channel_dim % len(shape) == 0 else 0
    groups = draw_(st.sampled_from([1, 1, 2, 3]))
    shape[example] *= groups
    torch.manual_seed(draw_(st.integers(0, 2**16)))
    inputs, upstream = draw(shape, shape[channel_dim])
    options = {"groups": groups, "channel_dim": channel_dim, "activation": draw_(st.sampled_from(["identity", "silu"]))}
    given = {n: t.detach() for n, t in inputs.items() if n == "x" or draw_(st.booleans())} | {"upstream": upstream}
    placed = {n: poisoned(t, _strides(draw_, t.shape)) for n, t in given.items()}
    full = None
    if draw_(st.booleans()):
        positions = [n for dim, n in enumerate(shape) if dim != channel_dim % len(shape)]
        options["mask"], full = _mask(draw_, positions, channel_dim % len(shape))
        if draw_(st.booleans()):
            _hide([view for view, _ in placed.values()], ~full.unsqueeze(channel_dim % len(shape)))
    return placed, options, full


def _hide(tensors, hidden) -> None:
    """NaN where a mask hides something, but in tensors that have one value in several places."""
    for tensor in tensors:
        if tensor.ndim > 1 and 0 not in tensor.stride():
            tensor.masked_fill_(hidden, math.nan)


def answer(inputs, upstream, options, mask):
    """The oracle's, for inputs of which some may be missing and hidden values may be NaN."""
    x = inputs["x"].detach()
    channels = x.shape[options["channel_dim"]]
    neutral = {"weight": torch.ones(channels), "bias": torch.zeros(channels), "residual": torch.zeros(x.shape)}
    known = {n: inputs[n].detach().nan_to_num() if n in inputs else neutral[n] for n in INPUTS}
    where = options["channel_dim"] % x.ndim
    return expected(known, upstream.nan_to_num(), where, options["activation"], mask, options["groups"])


@pytest.mark.parametrize("impl", EVERYTHING)
@settings(deadline=None, max_examples=200)
@given(call=calls())
def test_any_call_gives_what_the_oracle_gives_and_touches_nothing_else(impl, call):
    given, options, mask = call
    before = {name: buffer.clone() for name, (_, buffer) in given.items()}
    inputs = {name: view.requires_grad_() for name, (view, _) in given.items() if name != "upstream"}
    upstream = given["upstream"][0]
    got = computed(inputs, upstream, impl, **options)
    want = answer(inputs, upstream, options, mask)
    # Two or three values may lie so close that σ is √ε, which makes 1/σ³ = 3e7 of a rounding of the largest gradients.
    torch.testing.assert_close(got, {name: want[name] for name in got}, rtol=1e-7, atol=1e-7)
    same_bits({name: buffer.detach() for name, (_, buffer) in given.items()}, before)


# What is worth a name.


def _dense(order):
    return lambda shape: permuted_strides(shape, order, gap=0)


def _gaps(order, gap, step=1):
    return lambda shape: permuted_strides(shape, order, gap, step)


# name: from a shape to strides. Axes are N, C, H, W.
STRIDES = {
    "contiguous": _dense((0, 1, 2, 3)),
    "channels last": _dense((0, 2, 3, 1)),
    "channels first": _dense((1, 0, 2, 3)),
    "all reversed": _dense((3, 2, 1, 0)),
    "gaps": _gaps((0, 1, 2, 3), 3),
    "every second value": _gaps((0, 1, 2, 3), 0, step=2),
    "channels last with gaps": _gaps((0, 2, 3, 1), 5),
}


@pytest.mark.parametrize("strides", STRIDES)
@pytest.mark.parametrize("impl", IMPLS)
def test_strides(impl, strides):
    """Of input, residual and upstream gradient alike, which no random call has; torch is asked for what it takes."""
    inputs, upstream = draw(SHAPE, 5)
    want = expected(inputs, upstream, activation="silu")
    given = {n: poisoned(t, STRIDES[strides](SHAPE)) for n, t in {**inputs, "upstream": upstream}.items() if t.ndim > 1}
    before = {name: buffer.detach().clone() for name, (_, buffer) in given.items()}
    placed = inputs | {name: view for name, (view, _) in given.items() if name != "upstream"}
    got = computed(placed, given["upstream"][0], impl, activation="silu")
    torch.testing.assert_close(got, want, **FLOAT64)
    same_bits({name: buffer.detach() for name, (_, buffer) in given.items()}, before)


@pytest.mark.parametrize("x_strides", ["contiguous", "channels last"])
@pytest.mark.parametrize("name", ["residual", "upstream"])
def test_a_residual_or_gradient_of_the_other_format(name, x_strides):
    """As a channels-last convolution sends one to a contiguous layer, and the other way round."""
    inputs, upstream = draw(SHAPE, 5)
    given, other = inputs | {"upstream": upstream}, {"contiguous": "channels last", "channels last": "contiguous"}
    for each in ("x", "residual", "upstream"):
        given[each], _ = poisoned(given[each], STRIDES[other[x_strides] if each == name else x_strides](SHAPE))
    want = expected(inputs, upstream, activation="silu")
    got = outcome(given, given.pop("upstream"), activation="silu", impl="cpu")
    torch.testing.assert_close(got, want, **FLOAT64)


@pytest.mark.parametrize("kept", [(1, 1, 1, 1), (6, 5, 1, 1), (6, 1, 7, 3)], ids=str)
@pytest.mark.parametrize("impl", ["torch", "cpu"])
def test_axes_of_stride_zero(impl, kept):
    """A constant in all, one value per channel and example, and channels that are alike."""
    inputs, upstream = draw(SHAPE, 5)
    given = {**inputs, "upstream": upstream}
    for name in ("x", "residual", "upstream"):
        given[name] = torch.randn(kept, dtype=torch.float64).expand(SHAPE).requires_grad_(name != "upstream")
    upstream = given.pop("upstream")
    got = outcome(given, upstream, activation="silu", impl=impl)
    # A constant channel (σ = 0) makes 1/√ε = 316 of every rounding, and its square in the gradient of x.
    torch.testing.assert_close(got, expected(given, upstream, activation="silu"), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("impl", IMPLS)
def test_the_gradient_of_a_sum(impl, channels_last):
    """``y.sum()`` sends a gradient of stride 0; after silu it is not blind to anything."""
    inputs, _ = draw(SHAPE, 5)
    want = expected(inputs, torch.ones(SHAPE), activation="silu")
    if channels_last:
        inputs["x"] = inputs["x"].detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    x, weight, bias, residual = inputs.values()
    batch_norm(x, weight, bias, residual=residual, eps=EPS, activation="silu", impl=impl).y.sum().backward()
    got = {f"d_{name}": t.grad for name, t in inputs.items()}
    torch.testing.assert_close(got, {name: want[name] for name in got}, **FLOAT64)


@pytest.mark.parametrize("impl", IMPLS)
def test_windows_that_overlap(impl):
    inputs, upstream = draw((8, 5, 4), 5)
    inputs["x"] = torch.randn(11, 5, dtype=torch.float64).unfold(0, 4, 1).requires_grad_()
    torch.testing.assert_close(outcome(inputs, upstream, impl=impl), expected(inputs, upstream), **FLOAT64)


@pytest.mark.parametrize("strides", [(0,), (2,), (7,)], ids=str)
@pytest.mark.parametrize("impl", ["torch", "cpu"])
def test_strides_of_weight_and_bias(impl, strides):
    inputs, upstream = draw(SHAPE, 5)
    for name in ("weight", "bias"):
        inputs[name] = poisoned(inputs[name], strides)[0]
    torch.testing.assert_close(outcome(inputs, upstream, impl=impl), expected(inputs, upstream), **FLOAT64)


@pytest.mark.parametrize("shape", [(4, 3, 2, 1, 2, 3), (33, 65), (5, 67, 31)], ids=str)
@pytest.mark.parametrize("where", [0, 1, -1, -2])
@pytest.mark.parametrize("impl", EVERYTHING)
def test_channel_dim_of_larger_shapes(impl, where, shape):
    inputs, upstream = draw(shape, shape[where])
    got = outcome(inputs, upstream, activation="silu", channel_dim=where, impl=impl)
    torch.testing.assert_close(got, expected(inputs, upstream, where, "silu"), **FLOAT64)


@pytest.mark.parametrize("impl", EVERYTHING)
def test_nothing_to_normalize(impl):
    for shape in [(0, 3), (0, 3, 5), (4, 3, 0), (4, 0), (0, 0), (4, 0, 3), (0, 3, 2, 2)]:
        for groups in (1, 2):
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


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("strides", ["contiguous", "channels last", "all reversed"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nothing_is_written_around_the_outputs(strides, masked, dtype):
    """Where vectors of these types end: sizes about a vector's, a cache line's and a strip's."""
    for shape in [(6, 5, 7, 3), (1, 1, 1, 1), (3, 17, 5, 5), (2, 70, 33, 1), (3, 1, 67, 1)]:
        inputs, upstream = draw(shape, shape[1], dtype)
        inputs["x"], _ = poisoned(inputs["x"], STRIDES[strides](shape))
        mask = torch.rand(shape[0], *shape[2:]) > 0.4 if masked else None
        got = computed(inputs, upstream, "cpu", activation="silu", mask=mask)
        assert not any(t.isnan().any() for t in got.values()), shape


def test_sizes_around_those_of_vectors():
    """Sizes from 1 to 40 of rows, channels and positions: where vectors end, tails begin."""
    pick = random.Random(0)
    for _ in range(300):
        shape = [pick.randint(1, 40) for _ in range(3)]
        x = torch.randn(shape).transpose(1, 2) if pick.random() < 0.5 else torch.randn(shape)
        x.requires_grad_()
        upstream = torch.randn_like(x)
        got, want = (outcome({"x": x}, upstream, activation="silu", impl=impl) for impl in ("cpu", "reference"))
        # Float32 with σ near 1; one to three values per channel can have a σ of 0.05, and 1/σ² makes 400 of a rounding.
        torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-3)
