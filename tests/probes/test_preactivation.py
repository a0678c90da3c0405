from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from normwise.probes import preactivation

KEYS = ["mean", "std", "p15", "p50", "p85"]


@given(arrays(np.float32, st.integers(1, 40), elements=st.floats(-1e6, 1e6, width=32)))
def test_agrees_with_numpy(u):
    wide = u.astype(np.float64)
    expected = [wide.mean(), wide.std(), *np.percentile(wide, [15, 50, 85])]
    found = preactivation(torch.from_numpy(u))
    assert list(found) == KEYS
    # both compute in float64 from the same numbers; sums in another order differ by a few units in the last place
    np.testing.assert_allclose(list(found.values()), expected, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("shape", [(128, 100), (4, 3, 5, 7), (1,), ()])
def test_takes_any_shape(shape):
    u = torch.randn(shape)
    expected = np.percentile(u.double().numpy(), [15, 50, 85])
    np.testing.assert_allclose([preactivation(u)[key] for key in KEYS[2:]], expected, rtol=1e-12)


def test_keeps_its_digits_when_the_mean_is_large():
    u = torch.randn(1000) + 1e4
    # float64 moments of the same float32 numbers: exact to 1e-12 of the mean's square over the variance
    assert preactivation(u)["std"] == pytest.approx(u.double().std(correction=0).item(), rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_takes_every_floating_dtype(dtype):
    u = torch.randn(50).to(dtype)
    assert preactivation(u)["p50"] == pytest.approx(np.percentile(u.double().numpy(), 50), rel=1e-12)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_is_nan_where_the_input_is_not_finite(bad):
    u = torch.randn(6, 5)
    u[3, 2] = bad
    assert all(math.isnan(value) for value in preactivation(u).values())


def test_is_nan_where_the_input_is_empty():
    assert all(math.isnan(value) for value in preactivation(torch.empty(0, 4)).values())


def test_does_not_raise_when_the_variance_overflows():
    found = preactivation(torch.tensor([-1e200, 1e200], dtype=torch.float64))
    assert found["std"] == math.inf
    assert found["p50"] == 0


def test_leaves_its_input_alone():
    u = torch.randn(20, requires_grad=True)
    before = u.detach().clone()
    preactivation(u)
    assert torch.equal(u, before)
