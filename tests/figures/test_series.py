from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from normwise.figures.series import band, by_arm, diverged_at, layers, number, of_layer, spread
from synthetic import record, study


def test_band_pools_the_curves_that_reached_a_step():
    pooled = band([{0: 1.0, 10: 3.0}, {0: 2.0, 10: 5.0, 20: 7.0}])
    assert pooled.steps == (0, 10, 20)
    assert pooled.mean == (1.5, 4.0, 7.0)
    assert pooled.low == (1.0, 3.0, 7.0)
    assert pooled.high == (2.0, 5.0, 7.0)


def test_band_leaves_out_what_is_not_finite_and_has_a_gap_where_nothing_is():
    pooled = band([{0: 1.0, 10: math.nan, 20: math.nan}, {0: 2.0, 10: 5.0, 20: math.inf}])
    assert pooled.mean[:2] == (1.5, 5.0)
    assert math.isnan(pooled.mean[2])
    assert pooled.ends() == (0, 1)
    assert band([{0: math.nan}]).ends() is None
    assert band([]).ends() is None


@given(st.lists(st.dictionaries(st.integers(0, 50), st.floats(-1e6, 1e6)), max_size=4))
def test_the_mean_lies_between_the_least_and_the_greatest_value(curves):
    pooled = band(curves)
    assert list(pooled.steps) == sorted({step for curve in curves for step in curve})
    room = 1e-9 * 1e6  # one rounding of a sum of at most four values of 1e6, generously
    assert all(low - room <= mean <= high + room for mean, low, high in zip(*pooled[1:], strict=True))


def test_arms_keep_the_order_of_their_first_appearance():
    runs = study(["z", "a"], seeds=2)
    mixed = [runs[0], runs[2], runs[1], runs[3]]
    assert list(by_arm(mixed)) == ["z", "a"]
    assert [run.settings["seed"] for run in by_arm(mixed)["z"]] == [0, 1]


def test_only_a_run_that_diverged_has_a_step_of_divergence():
    assert diverged_at(record(diverged=250)) == 250
    assert diverged_at(record()) is None


def test_layers_and_their_values():
    run = record(layers=2, steps=200)
    assert layers([run], "gradients") == ["linear1", "linear2", "linear3"]
    assert of_layer(run, "gradients", "linear2", "norm") == {
        line["step"]: line["gradients"][1]["norm"] for line in run.metrics
    }


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_null_and_what_is_not_finite_is_a_gap(value):
    assert math.isnan(number(value))


@given(st.integers(1, 100), st.integers(2, 8))
def test_spread_keeps_the_ends_the_order_and_the_limit(count, most):
    kept = spread(range(count), most)
    assert len(kept) == min(count, most)
    assert kept == sorted(set(kept))
    assert (kept[0], kept[-1]) == (0, count - 1)
