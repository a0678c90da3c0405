from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from normwise.errors import InvalidArgumentError
from normwise.probes import Schedule


@given(st.integers(1, 100_000), st.none() | st.integers(1, 2_000))
def test_runs_from_the_start_to_the_end_in_rising_order(steps, every):
    at = Schedule(steps, every).at
    assert at[0] == 0
    assert at[-1] == steps
    assert list(at) == sorted(set(at))


@given(st.integers(1_000, 100_000))
def test_has_about_fifty_points_by_default(steps):
    assert 25 <= len(Schedule(steps).at) <= 60


@given(st.integers(1, 100_000))
def test_has_every_multiple_of_a_thirtieth(steps):
    distance = -(-steps // 25)
    assert set(range(0, steps, distance)) <= set(Schedule(steps).at)


@given(st.integers(1_000, 100_000))
def test_looks_early(steps):
    at = Schedule(steps).at
    assert at[1] == round(steps / 500)
    early = [step for step in at if 0 < step <= steps // 25]
    assert len(early) >= 8
    # the ratio is 1.25 and each end is rounded by up to a half: from 4 on that is 1.25·(4 + ½)/4 < 1.5 at most
    assert all(b / a <= 1.5 for a, b in pairwise(early) if a >= 4)


@pytest.mark.parametrize(("steps", "at"), [(1, (0, 1)), (2, (0, 1, 2)), (10, tuple(range(11)))])
def test_small_runs_are_measured_at_each_step(steps, at):
    assert Schedule(steps).at == at


def test_every_gives_its_multiples_and_the_end():
    assert Schedule(10, 4).at == (0, 4, 8, 10)
    assert Schedule(10, 5).at == (0, 5, 10)
    assert Schedule(3, 100).at == (0, 3)


def test_default_points_are_pinned():
    assert Schedule(1000).at[:14] == (0, 2, 3, 4, 5, 6, 8, 10, 12, 15, 19, 23, 29, 36)
    assert len(Schedule(10_000).at) == 46


@given(st.integers(1, 3_000), st.none() | st.integers(1, 100))
def test_contains_what_it_lists(steps, every):
    schedule = Schedule(steps, every)
    assert [step for step in range(-1, steps + 2) if step in schedule] == list(schedule.at)


def test_equal_arguments_make_equal_schedules():
    assert Schedule(10, 2) == Schedule(10, 2)
    assert hash(Schedule(10)) == hash(Schedule(10))


@pytest.mark.parametrize(
    ("steps", "every", "name"), [(0, None, "steps is 0"), (-5, 1, "steps is -5"), (9, 0, "every is 0")]
)
def test_refuses_less_than_one(steps, every, name):
    with pytest.raises(InvalidArgumentError, match=name):
        Schedule(steps, every)
