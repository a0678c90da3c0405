from __future__ import annotations

import math

from normwise.figures import limits


def test_a_regression_that_begins_far_below_shows_where_it_ends():
    low, high = limits.good_side([-4000.0, -30.0, 0.1, 0.5, 0.58, 0.6, 0.61], higher_is_better=True)
    assert -2 < low < 0.1
    assert 0.61 < high < 1


def test_an_error_that_begins_far_above_shows_where_it_ends():
    low, high = limits.good_side([4000.0, 90.0, 55.0, 52.0, 50.0], higher_is_better=False)
    assert 40 < low < 50
    assert 90 < high < 250


def test_one_arm_that_exploded_does_not_flatten_another():
    good, bad = [0.1, 0.5, 0.6, 0.6, 0.62], [-1e9] * 4
    low, _ = limits.good_side([*good, *bad], higher_is_better=True)
    assert low > -3


def test_equal_values_and_none_at_all_have_limits():
    for values in ([], [math.nan], [0.0, 0.0], [5.0], [-5.0, -5.0]):
        for low, high in (
            limits.good_side(values, higher_is_better=True),
            limits.good_side(values, higher_is_better=False),
            limits.shares([abs(value) / 5 for value in values]),
            limits.middle(values),
        ):
            assert low < high
        low, high = limits.positive(values)
        assert 0 < low < high


def test_what_vanishes_has_room_below_the_least_that_is_shown():
    assert limits.positive([0.0, 1e-6, 1.0])[0] == 1e-6 / 4
    assert limits.positive([1e-20, 1e-6, 1.0])[0] == 1e-6 / 4


def test_clamp_leaves_gaps():
    low, middle, high, gap = limits.clamp([-5.0, 0.5, 9.0, math.nan], (0.0, 1.0))
    assert (low, middle, high) == (0.0, 0.5, 1.0)
    assert math.isnan(gap)
    assert limits.beyond([-5.0, 0.5, 9.0, math.nan], (0.0, 1.0)) == 2


def test_shares_that_are_all_zero_have_no_ticks_below_zero():
    low, high = limits.shares([0.0, 0.0])
    assert -0.01 < low < 0
    assert high >= 0.05
