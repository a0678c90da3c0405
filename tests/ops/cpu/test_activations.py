from __future__ import annotations

import functools
import math
import re

import numpy as np
import pytest
import torch
from numba import njit
from scipy.special import expit, ndtr

from normwise.ops.activations import NAMES, activation
from normwise.ops.cpu import activations as documented
from normwise.ops.cpu.activations import functions

EXACT = ["identity", "relu", "leaky_relu", "leaky_relu:-0.3", "relu6"]
SMOOTH = ["elu", "silu", "gelu", "gelu_tanh", "sigmoid", "tanh", "hardswish", "mish"]
# Every size from the least denormal to the largest number, and dense where the functions bend.
SIZES = np.geomspace(1e-45, 3.4e38, 100_000)
GRID = np.concatenate([np.linspace(-20, 20, 1_000_001), np.linspace(-120, 120, 200_001), SIZES, -SIZES, [0.0, -0.0]])
GRID = GRID.astype(np.float32)
LEAST = 1.2e-38  # the least normal float32: below it a result may be 0

# |error| / max(1, |value|) of the function and of its derivative, and |error / value| of the function where z > from.
BOUNDS = {
    "elu": (5e-8, 6e-8, 9e-8, -math.inf),
    "silu": (1.3e-7, 2e-7, 1.9e-7, -87),
    "gelu": (1e-7, 2.3e-7, None, None),
    "gelu_tanh": (1.6e-7, 2.3e-7, 3e-7, -1),
    "sigmoid": (1e-7, 6e-8, 1.6e-7, -87),
    "tanh": (1.6e-7, 2.4e-7, 1.8e-7, -math.inf),
    "hardswish": (1.8e-7, 1e-7, 1.9e-7, -math.inf),
    "mish": (1.6e-7, 2.6e-7, 3.2e-7, -87),
}


@functools.cache
def loop(name, order, single):
    """The function (order 0) or its derivative (order 1), compiled once for all tests."""
    function = functions(name, single)[order]

    @njit
    def run(values, results, parameter):
        for i in range(values.size):
            results[i] = function(values[i], parameter)

    return run


def both(name, fastmath):
    """The function and its derivative in one loop."""
    forward, derivative = functions(name, True)

    @njit(fastmath=fastmath)
    def run(values, results, parameter):
        for i in range(values.size):
            results[0, i] = forward(values[i], parameter)
            results[1, i] = derivative(values[i], parameter)

    return run


def compute(spec, values, order=0, *, single=True):
    """The function (order 0) or its derivative (order 1) of every number."""
    made = activation(spec)
    results = np.full_like(values, np.nan)
    loop(made.name, order, single)(values, results, values.dtype.type(sum(made.parameters)))
    return results


def _mish_slope(z):
    z = np.clip(z, -700, 100)
    e = np.exp(z)
    return (e * (e + 2) * (e * e + 2 * e + 2) + 4 * z * e * (e + 1)) / (e * e + 2 * e + 2) ** 2


def _gelu_tanh_inner(z):
    return 2 * math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)


def _gelu_tanh_slope(z):
    z = np.clip(z, -60, 60)
    steep = 2 * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * z**2)
    return expit(_gelu_tanh_inner(z)) + z * steep * expit(_gelu_tanh_inner(z)) * expit(-_gelu_tanh_inner(z))


# The definitions, in float64. None subtracts nearly equal numbers where its value is relied upon to 1e-9 of itself.
TRUTH = {
    "elu": (lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))), lambda z: np.exp(np.minimum(z, 0))),
    "silu": (lambda z: z * expit(z), lambda z: expit(z) + z * expit(z) * expit(-z)),
    "gelu": (
        lambda z: z * ndtr(z),
        lambda z: ndtr(z) + z * np.exp(-0.5 * np.minimum(np.abs(z), 99) ** 2) / math.sqrt(2 * math.pi),
    ),
    "gelu_tanh": (lambda z: z * expit(_gelu_tanh_inner(z)), _gelu_tanh_slope),
    "sigmoid": (expit, lambda z: expit(z) * expit(-z)),
    "tanh": (np.tanh, lambda z: 4 * expit(2 * z) * expit(-2 * z)),
    "hardswish": (
        lambda z: z * (np.clip(z + 3, 0, 6) / 6),
        lambda z: np.where(z <= -3, 0, np.where(z < 3, z / 3 + 0.5, 1)),
    ),
    "mish": (lambda z: z * np.tanh(np.logaddexp(0, z)), _mish_slope),
}


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("order", [0, 1])
def test_absolute_errors_are_within_the_stated_bounds(name, order):
    with np.errstate(over="ignore"):
        truth = TRUTH[name][order](GRID.astype(np.float64))
    error = np.abs(compute(name, GRID, order) - truth) / np.maximum(1, np.abs(truth))
    assert error.max() <= BOUNDS[name][order]


@pytest.mark.parametrize("name", SMOOTH)
def test_relative_errors_are_within_the_stated_bounds(name):
    with np.errstate(over="ignore"):
        truth = TRUTH[name][0](GRID.astype(np.float64))
    _, _, bound, start = BOUNDS[name]
    if name == "gelu":
        bound, start = 4.5e-7 + 8e-8 * np.square(GRID, dtype=np.float64), -13
    # Half the least denormal is what rounding may cost a result that is no normal number.
    error = np.abs(compute(name, GRID) - truth) - 2.0**-149
    assert np.all((error <= bound * np.abs(truth)) | (start >= GRID))


@pytest.mark.parametrize("name", SMOOTH)
def test_tails_are_zero_or_right(name):
    tail = GRID[GRID < -87]
    with np.errstate(over="ignore"):
        truth = TRUTH[name][0](tail.astype(np.float64))
    # Where exp leaves the normal numbers, |z| times the least of them is lost, z no less than −120 or so.
    np.testing.assert_allclose(compute(name, tail), truth, rtol=1.9e-7, atol=120 * LEAST)


def torchs(spec, values, order):
    x = torch.from_numpy(values).requires_grad_()
    y = activation(spec).module()(x)
    return (y.detach() if order == 0 else torch.autograd.grad(y, x, torch.ones_like(y))[0]).numpy()


@pytest.mark.parametrize("spec", EXACT)
@pytest.mark.parametrize("order", [0, 1])
def test_piecewise_linear_functions_are_torchs(spec, order):
    values = np.append(np.random.default_rng(0).normal(0, 4, 5000), [0.0, -0.0, 6.0]).astype(np.float32)
    np.testing.assert_array_equal(compute(spec, values, order), torchs(spec, values, order))


@pytest.mark.parametrize("spec", [*SMOOTH, *EXACT, "elu:1.7"])
@pytest.mark.parametrize("order", [0, 1])
def test_float64_is_torchs(spec, order):
    # Without hardswish's kinks at ±3, where torch's versions differ.
    values = np.append(np.random.default_rng(0).normal(0, 4, 5000), [0.0, -0.0, 6.0])
    # A few operations on numbers up to 20; torch's tails subtract from 1, hence the absolute part.
    np.testing.assert_allclose(
        compute(spec, values, order, single=False), torchs(spec, values, order), rtol=1e-14, atol=1e-14
    )


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_far_out_is_torchs_or_the_limit(name, single):
    kind = np.float32 if single else np.float64
    values = np.array([np.inf, -np.inf], dtype=kind)
    for order, limits in enumerate([(np.inf, 0), (1, 0)]):
        found, expected = compute(name, values, order, single=single), torchs(name, values, order)
        for value, reference, limit in zip(found, expected, limits, strict=True):
            assert value == reference or (np.isnan(reference) and (np.isnan(value) or value == limit))


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_nan_stays(name, single):
    values = np.full(37, np.nan, dtype=np.float32 if single else np.float64)
    assert np.isnan(compute(name, values, single=single)).all()


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_finite_numbers_have_finite_results(name, single):
    values = GRID if single else np.concatenate([GRID.astype(np.float64), [1e200, -1e200, 1.7e308, -1.7e308]])
    assert np.isfinite(compute(name, values, single=single)).all()
    assert np.abs(compute(name, values, 1, single=single)).max() <= activation(name).max_slope + 3e-7


@pytest.mark.parametrize("name", NAMES)
def test_bits_do_not_depend_on_the_kernel(name):
    values = np.random.default_rng(1).normal(0, 5, 1003).astype(np.float32)
    functions.cache_clear()  # so that the careless kernel is the first to compile them
    careless, careful, one_by_one = (np.empty((2, values.size), np.float32) for _ in range(3))
    both(name, fastmath=True)(values, careless, np.float32(0.3))
    exact = both(name, fastmath=False)
    exact(values, careful, np.float32(0.3))
    for i in range(values.size):
        exact(values[i : i + 1], one_by_one[:, i : i + 1], np.float32(0.3))
    np.testing.assert_array_equal(careless.view(np.int32), careful.view(np.int32))
    np.testing.assert_array_equal(one_by_one.view(np.int32), careful.view(np.int32))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("order", [0, 1])
def test_float32_runs_in_vector_registers_and_never_widens(name, order):
    run = loop(name, order, True)
    run(GRID[:8], np.empty_like(GRID[:8]), np.float32(0.3))
    (module,) = run.inspect_llvm().values()
    body = next(part for part in module.split("\ndefine ")[1:] if "x float>" in part)
    assert re.search(r"<(4|8|16) x float>", body)
    assert "double" not in body
    assert not re.search(r"= (shl|sub|ashr|trunc) [^\n]*<\d+ x i64>", body)
    called = set(re.findall(r"call [^\n@]*@([\w.]+)\(", body))
    assert all(re.match(r"llvm\.|NRT_", callee) for callee in called), called


def test_arguments_of_any_type_are_computed_in_the_stated_one():
    forward, _ = functions("silu", True)
    assert forward(np.float64(1 / 3), 0.0) == forward(np.float32(1 / 3), np.float32(0))
    assert functions("silu", False)[0](np.float32(2), 0) == pytest.approx(2 / (1 + math.exp(-2)), rel=1e-15)


def test_every_name_has_its_functions():
    for name in NAMES:
        assert len(functions(name, True)) == 2


def test_the_bounds_are_those_of_the_documentation():
    rows = [line.split() for line in documented.__doc__.splitlines()]
    for name, (forward, slope, relative, _) in BOUNDS.items():
        (row,) = [row for row in rows if row[:1] == [name]]
        assert [float(row[1]), float(row[2])] == [forward, slope]
        assert relative is None or float(row[3]) == relative
