from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from normwise import moments
from normwise.moments import Moments, batch_moments, merge

# Float64 sums of at most a few hundred values lose a few units in the last place, 2e-16 each.
EXACT = {"rtol": 1e-12, "atol": 1e-12}


def numpy_moments(values: np.ndarray) -> Moments:
    count = torch.full(values.shape[1:], float(len(values)), dtype=torch.float64)
    return Moments(count, torch.tensor(values.mean(0)), torch.tensor(values.var(0)))


def test_batch_moments_match_numpy():
    x = torch.randn(4, 3, 5, 7, dtype=torch.float64) * 3 + 2
    expected = numpy_moments(x.numpy().transpose(0, 2, 3, 1).reshape(-1, 3))
    torch.testing.assert_close(batch_moments(x, (0, 2, 3)), expected, **EXACT)


def test_a_huge_mean_leaves_the_variance_alone():
    x = torch.randn(1000, 4, dtype=torch.float64).float() + 1e4
    # E[x²] − E[x]² would be off by 1e8 · 6e-8 = 6. The squared deviations round to 1e-7 and the mean to 1e-3, whose
    # square is 1e-6.
    torch.testing.assert_close(batch_moments(x, (0,)).var.double(), x.double().var(0, correction=0), rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_float32(dtype):
    x = torch.rand(5000, 2).to(dtype) + 1
    # A serial float16 sum stops growing at 2048; the error of a float32 sum of 5000 values stays under 5000 · 6e-8.
    expected = numpy_moments(x.double().numpy())
    result = batch_moments(x, (0,))
    assert {m.dtype for m in result} == {torch.float32}
    torch.testing.assert_close(tuple(m.double() for m in result), tuple(expected), rtol=3e-4, atol=0)


def test_masked_values_have_no_effect():
    x = torch.randn(6, 3, 5, dtype=torch.float64)
    mask = torch.rand(6, 1, 5) > 0.4
    kept = x.movedim(1, -1)[mask.squeeze(1)]
    poisoned = torch.where(mask, x, torch.nan)
    torch.testing.assert_close(batch_moments(poisoned, (0, 2), mask), numpy_moments(kept.numpy()), **EXACT)


def test_nothing_has_zero_moments():
    for result in (
        batch_moments(torch.randn(0, 3), (0,)),
        batch_moments(torch.randn(2, 3), (0,), torch.zeros(2, 1, dtype=torch.bool)),
    ):
        torch.testing.assert_close(tuple(result), (torch.zeros(3),) * 3, rtol=0, atol=0)


@settings(deadline=None)
@given(n=st.integers(0, 20), k=st.integers(0, 20), offset=st.floats(-1e3, 1e3), seed=st.integers(0, 2**16))
def test_merging_two_parts_describes_the_whole(n, k, offset, seed):
    x = torch.randn(n + k, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + offset
    x[:n] += offset
    merged = merge(batch_moments(x[:n], (0,)), batch_moments(x[n:], (0,)))
    # The deviations are at most about 1e3, so their squares are known to 1e6 · 2e-16 times the number of additions.
    torch.testing.assert_close(merged, batch_moments(x, (0,)), rtol=1e-10, atol=1e-8)


def test_merging_is_associative_over_many_parts():
    x = torch.randn(97, 3, dtype=torch.float64) + 100
    parts = [batch_moments(part, (0,)) for part in x.split([1, 40, 2, 54])]
    whole = merge(merge(merge(parts[0], parts[1]), parts[2]), parts[3])
    torch.testing.assert_close(whole, merge(merge(parts[0], parts[1]), merge(parts[2], parts[3])), **EXACT)
    torch.testing.assert_close(whole, batch_moments(x, (0,)), **EXACT)


def test_unbiased_and_biased_are_inverse():
    x = torch.randn(9, 4, dtype=torch.float64)
    count, _, var = batch_moments(x, (0,))
    torch.testing.assert_close(moments.unbiased(var, count), x.var(0), **EXACT)
    torch.testing.assert_close(moments.biased(x.var(0), 9), var, **EXACT)


@pytest.mark.parametrize("count", [0.0, 1.0])
def test_too_few_values_have_no_infinite_variance(count):
    assert moments.unbiased(torch.zeros(2), torch.full((2,), count)).tolist() == [0, 0]


def test_running_gives_the_batch_the_weight_momentum():
    assert moments.running(torch.tensor([10.0]), torch.tensor([20.0]), 0.1).tolist() == [11]
    assert moments.running(torch.tensor([10.0]), torch.tensor([20.0]), 1.0).tolist() == [20]


def test_running_modifies_nothing():
    old, batch = torch.tensor([0.0]), torch.tensor([4.0])
    assert moments.running(old, batch, 0.5).tolist() == [2]
    assert (old.item(), batch.item()) == (0, 4)


@pytest.mark.parametrize("weight", [0.1, 0.5, 1.0])
def test_a_momentum_that_is_one_number_of_another_type_weighs_alike(weight):
    old, batch = torch.randn(2, 5)
    got = moments.running(old, batch, torch.tensor(weight, dtype=torch.float64))
    torch.testing.assert_close(got, moments.running(old, batch, weight))


def test_cumulative_momentum_makes_the_plain_average():
    batches = torch.randn(7, 3, dtype=torch.float64)
    average = torch.full((3,), 5.0, dtype=torch.float64)
    for k, batch in enumerate(batches, start=1):
        average = moments.running(average, batch, moments.cumulative_momentum(torch.tensor(k), batch.dtype))
    torch.testing.assert_close(average, batches.mean(0), **EXACT)


def test_finite_are_those_whose_mean_and_variance_are():
    large = torch.finfo(torch.float32).max
    mean = torch.tensor([1.0, torch.nan, 1.0, torch.inf, -torch.inf, large])
    var = torch.tensor([1.0, 1.0, torch.nan, torch.inf, torch.inf, large])
    assert moments.are_finite(mean, var).tolist() == [True, False, False, False, False, True]
