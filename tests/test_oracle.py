from __future__ import annotations

import numpy as np
import pytest

import oracle
from normwise.ops import ACTIVATIONS


def test_every_activation_is_there():
    assert {spec.split(":")[0] for spec in oracle.ACTIVATIONS} == set(ACTIVATIONS)


@pytest.mark.parametrize("spec", sorted(oracle.ACTIVATIONS))
def test_derivatives_are_those_of_the_functions(spec):
    function, derivative = oracle.ACTIVATIONS[spec]
    z = np.linspace(-12, 12, 4801) + 0.0025  # no kink is within h of it
    h = 1e-5
    slope = (function(z + h) - function(z - h)) / (2 * h)
    # Truncation h²·|f‴|/6 < 1e-10; cancellation 2⁻⁵³·12/h = 1.3e-10.
    np.testing.assert_allclose(derivative(z), slope, rtol=0, atol=1e-9)


@pytest.mark.parametrize("spec", sorted(oracle.ACTIVATIONS))
def test_far_values_are_finite(spec):
    for function in oracle.ACTIVATIONS[spec]:
        assert np.isfinite(function(np.array([-1e4, -40.0, 40.0, 1e4]))).all()


def test_a_mask_and_groups_take_rows_apart():
    x = np.arange(12.0).reshape(4, 1, 3)
    mask = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 1], [1, 1, 1]], dtype=bool)
    out = oracle.forward(x, 1, 0, 0.0, mask=mask, groups=2)
    np.testing.assert_allclose(out.mean, [[4 / 3], [45 / 5]])
    np.testing.assert_allclose(out.count, [[3], [5]])
    np.testing.assert_array_equal(out.y[~mask[:, None]], 0)
