from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from normwise.probes import histogram


@pytest.mark.parametrize(("module", "low", "high"), [(nn.Sigmoid(), 0.0, 1.0), (nn.Tanh(), -1.0, 1.0)])
def test_bins_of_bounded_functions_are_fixed(module, low, high):
    output = module(3 * torch.randn(128, 100))
    found = histogram(module, output)
    assert (found["low"], found["high"]) == (low, high)
    assert found["counts"] == np.histogram(output.double().numpy(), 30, (low, high))[0].tolist()


@pytest.mark.parametrize("module", [nn.ReLU(), nn.PReLU(), nn.Softplus()])
def test_other_bins_span_the_data(module):
    output = module(torch.randn(16, 5, 4)).detach()
    found = histogram(module, output)
    assert (found["low"], found["high"]) == (output.min().item(), output.max().item())
    assert found["counts"] == np.histogram(output.double().numpy(), 30)[0].tolist()


@given(arrays(np.float32, st.integers(1, 60), elements=st.floats(-1e3, 1e3, width=32)))
def test_counts_every_value_once(values):
    found = histogram(nn.ReLU(), torch.from_numpy(values))
    assert len(found["counts"]) == 30
    assert sum(found["counts"]) == len(values)
    assert all(type(count) is int for count in found["counts"])


def test_the_ends_of_the_range_are_counted():
    assert histogram(nn.Sigmoid(), torch.tensor([0.0, 1.0]))["counts"] == [1, *[0] * 28, 1]


def test_a_dead_layer_has_one_full_bin():
    found = histogram(nn.ReLU(), torch.zeros(10))
    assert (found["low"], found["high"]) == (-0.5, 0.5)
    assert sorted(found["counts"])[-2:] == [0, 10]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_is_empty_where_the_output_is_not_finite(bad):
    output = torch.tensor([0.1, bad, 0.2])
    found = histogram(nn.ReLU(), output)
    assert math.isnan(found["low"])
    assert math.isnan(found["high"])
    assert found["counts"] == [0] * 30
    assert histogram(nn.Sigmoid(), output) == {"low": 0.0, "high": 1.0, "counts": [0] * 30}


def test_a_value_on_an_edge_belongs_to_the_bin_above_it():
    assert histogram(nn.ReLU(), torch.arange(31.0))["counts"] == [*[1] * 29, 2]
