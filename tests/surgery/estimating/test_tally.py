"""Tallies of batches: merging is what seeing all of them would have been."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from normwise.moments import batch_moments
from normwise.surgery.estimating import tally


@given(st.lists(st.integers(0, 6), min_size=1, max_size=8), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60)
def test_any_order_of_merging_is_the_same(sizes, random):
    torch.manual_seed(random.randrange(1000))
    parts = [torch.randn(size, 2, dtype=torch.float64) + 10 for size in sizes]
    tallies = [tally.of_batch(batch_moments(part, (0,))) for part in parts]
    while len(tallies) > 1:
        one = tallies.pop(random.randrange(len(tallies)))
        other = random.randrange(len(tallies))
        tallies[other] = tally.together(one, tallies[other])
    (total,) = tallies
    examples, batches = sum(sizes), sum(size > 0 for size in sizes)
    assert total.batches == batches
    assert total.values.count.tolist() == [examples] * 2
    everything = torch.cat(parts).numpy()
    if examples < 2:
        assert tally.population(total, "pooled") is None
    else:
        mean, var = tally.population(total, "pooled")
        np.testing.assert_allclose(mean, everything.mean(0), rtol=1e-13)
        np.testing.assert_allclose(var, everything.var(0, ddof=1), rtol=1e-11)
    if examples <= batches:
        assert tally.population(total, "paper") is None
    else:
        mean, var = tally.population(total, "paper")
        deviations = sum(len(part) * part.numpy().var(0) for part in parts if len(part))
        np.testing.assert_allclose(var, deviations / (examples - batches), rtol=1e-11, atol=1e-13)
