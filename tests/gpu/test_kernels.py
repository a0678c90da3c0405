"""The kernels on a GPU against the float64 oracle."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gpu_problems
import oracle
from gpu_problems import (
    DEVICE,
    IMPL,
    LAYOUTS,
    answer,
    assert_right,
    computed,
    laid_out,
    normalized,
    options_of,
    placed,
    problem,
)
from normwise import ops
from tensors import EPS, outcome, permuted_strides, poisoned, same_bits

pytestmark = pytest.mark.usefixtures("poisoned_outputs")

TYPES = [torch.float32, torch.bfloat16, torch.float16]
# Sizes for every algorithm: a few values, odd ones, a channel that fits on the chip, one that does not, many channels.
SHAPES = [
    (7, 5), (1000, 37), (3, 4, 9), (60, 100), (2, 3, 3, 3, 5), (5, 3, 7, 1), (33, 17, 31, 29), (2, 3, 129, 257),
    (4, 1030, 7, 7), (1, 2, 500, 501), (300, 1, 5, 7), (2049, 129),
]  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("activation", sorted(oracle.ACTIVATIONS))
def test_every_activation(activation, dtype, layout):
    given = problem((6, 5, 9, 11), dtype, activation=activation, residual=True)
    assert_right(computed(given, layout), answer(given), given)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("residual", [False, True], ids=["", "residual"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_size(shape, residual, dtype, layout):
    given = problem(shape, dtype, activation="relu", residual=residual)
    assert_right(computed(given, layout), answer(given), given)


@pytest.mark.parametrize("shape", [(8, 5, 9, 11), (8, 3, 130, 131), (64, 33)], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("options", [{"mask": True}, {"groups": 4}, {"mask": True, "groups": 2}], ids=str)
def test_mask_and_groups(options, layout, shape):
    given = problem(shape, activation="silu", residual=True, **options)
    assert_right(computed(given, layout), answer(given), given)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_a_mask_hides_goes_nowhere(layout):
    given = problem((8, 5, 9, 11), activation="silu", residual=True, mask=True)
    want = computed(given, layout)
    hidden = ~given.mask.unsqueeze(1).expand_as(given.x)
    given.x[hidden] = torch.nan
    given.residual[hidden] = torch.nan
    same_bits(computed(given, layout), want)


def test_a_mask_that_hides_everything():
    given = problem((8, 5, 9), mask=True)
    given.mask[:] = False
    assert not any(t.any() for t in computed(given).values())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("shape", [(6, 5, 9, 11), (33, 17, 31, 29), (1000, 37)], ids=str)
def test_given_moments(shape, dtype, layout):
    given = problem(shape, dtype, activation="gelu", residual=True)
    rng = np.random.default_rng(0)
    moments = [m.astype(np.float32) for m in (3 + rng.standard_normal(shape[1]), 1 + rng.random(shape[1]))]
    assert_right(normalized(given, moments, layout), answer(given, [m.astype(np.float64) for m in moments]), given)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(6, 5, 9, 11), (4, 3, 257, 255)], ids=str)
def test_a_huge_mean_costs_no_more_digits_than_it_must(shape, layout):
    given = problem(shape, mean=1e4, activation="tanh")
    assert_right(computed(given, layout), answer(given), given)


@pytest.mark.parametrize("missing", ["weight", "bias", "both"])
def test_weight_and_bias_may_be_missing(missing):
    given = problem((6, 5, 9, 11), activation="relu", residual=True)
    given.weight = None if missing != "bias" else given.weight
    given.bias = None if missing != "weight" else given.bias
    given.upstream[(torch.from_numpy(gpu_problems.forward(given).z)).abs() < 1e-3] = 0
    assert_right(computed(given), answer(given), given)


def test_only_some_gradients():
    given = problem((6, 5, 9, 11), activation="silu", residual=True)
    want = answer(given)
    for name in ("x", "weight", "bias", "residual"):
        inputs, upstream = placed(given)
        for other in inputs.keys() - {name}:
            inputs[other].requires_grad_(False)
        assert_right(outcome(inputs, upstream, **options_of(given)), {f"d_{name}": want[f"d_{name}"]}, given)


ORDERS = {"NHWC": (0, 2, 3, 1), "CNHW": (1, 0, 2, 3), "HWNC": (2, 3, 0, 1), "NCHW with gaps": (0, 1, 2, 3)}


@pytest.mark.parametrize("which", ["x", "residual", "upstream", "all"])
@pytest.mark.parametrize("order", ORDERS)
def test_any_strides(order, which):
    """The same values, each tensor in a buffer of NaN that nobody may read or write."""
    given = problem((6, 5, 9, 11), activation="silu", residual=True)
    inputs, upstream = placed(given)
    tensors = inputs | {"upstream": upstream}
    strides = permuted_strides(given.x.shape, ORDERS[order], gap=3)
    buffers = {}
    for name in ("x", "residual", "upstream") if which == "all" else (which,):
        tensors[name], buffers[name] = poisoned(tensors[name], strides)
    holes = {name: buffer.isnan() for name, buffer in buffers.items()}
    upstream = tensors.pop("upstream").detach()
    assert_right(outcome(tensors, upstream, **options_of(given)), answer(given), given)
    assert all(torch.equal(buffer.isnan(), holes[name]) for name, buffer in buffers.items())


def test_a_gradient_that_is_one_value():
    """What ``sum().backward()`` gives back: strides of 0."""
    given = problem((6, 5, 9, 11), activation="silu", residual=True)
    given.upstream = torch.full_like(given.upstream, 0.7)
    inputs, _ = placed(given)
    upstream = torch.tensor(0.7, device=DEVICE).expand(given.x.shape)
    assert_right(outcome(inputs, upstream, **options_of(given)), answer(given), given)


def test_a_broadcast_residual_and_a_slice():
    given = problem((6, 5, 9, 11), activation="silu", residual=True)
    inputs, upstream = placed(given)
    wide = torch.full((6, 9, 9, 11), torch.nan, device=DEVICE)
    wide[:, 2:7] = inputs["x"].detach()
    inputs["x"] = wide[:, 2:7].requires_grad_()
    assert_right(outcome(inputs, upstream, **options_of(given)), answer(given), given)
    row = torch.randn(1, 5, 1, 1, device=DEVICE).expand(given.x.shape)
    given.residual = row.cpu().contiguous()
    inputs["residual"] = row.requires_grad_()
    assert_right(outcome(inputs, upstream, **options_of(given)), answer(given), given)


def test_the_gradient_may_lie_in_another_layout_than_x():
    given = problem((6, 5, 9, 11), activation="silu", residual=True)
    for first, second in (LAYOUTS, LAYOUTS[::-1]):
        inputs, upstream = placed(given, first)
        assert_right(outcome(inputs, laid_out(upstream, second), **options_of(given)), answer(given), given)


@pytest.mark.parametrize("dim", [-1, 2, 0])
def test_channel_dim_is_a_transposition(dim):
    given = problem((6, 4, 3), activation="tanh")
    inputs, upstream = placed(given)
    inputs["x"] = inputs["x"].detach().movedim(1, dim).contiguous().requires_grad_()
    found = outcome(inputs, upstream.movedim(1, dim), **options_of(given), channel_dim=dim)
    back = {name: t.movedim(dim, 1) if t.ndim == 3 else t for name, t in found.items()}
    assert_right(back, answer(given), given)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_vectors_of_the_type_of_x(dtype):
    given = problem((6, 5, 9, 11), dtype, activation="silu")
    given.weight, given.bias = given.weight.to(dtype), given.bias.to(dtype)
    found = computed(given)
    assert found["d_weight"].dtype is dtype
    assert_right(found, answer(given), given)


def test_moments_are_float32_and_not_differentiable():
    given = problem((6, 5, 9, 11), torch.bfloat16)
    inputs, _ = placed(given)
    out = ops.batch_norm(inputs["x"], inputs["weight"], inputs["bias"], eps=EPS, impl=IMPL)
    assert out.y.dtype is torch.bfloat16
    assert {m.dtype for m in out[1:]} == {torch.float32}
    assert not any(m.requires_grad for m in out[1:])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_output_lies_as_x_does(layout):
    given = problem((6, 5, 9, 11), residual=True, activation="relu")
    found = computed(given, layout)
    for name in ("y", "d_x", "d_residual"):
        assert found[name].stride() == laid_out(given.x, layout).stride(), name


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(6, 5, 9, 11), (33, 17, 31, 29), (2, 3, 513, 511)], ids=str)
def test_twice_is_the_same_to_the_bit(shape, layout):
    given = problem(shape, torch.bfloat16, activation="silu", residual=True)
    same_bits(computed(given, layout), computed(given, layout))


@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 5), (4, 3, 0), (1, 3)], ids=str)
def test_empty_batches_and_single_values(shape):
    x = torch.randn(shape, device=DEVICE, requires_grad=True)
    out = ops.batch_norm(x, None, torch.ones(3, device=DEVICE), eps=EPS)
    assert out.y.shape == shape
    assert (out.y == 1).all()
    assert not out.var.any()
    assert torch.equal(torch.autograd.grad(out.y.sum(), x)[0], torch.zeros_like(x))
