import math

import pytest

from normwise.doctor import clock
from normwise.doctor.clock import Clock


@pytest.fixture
def at(monkeypatch):
    """Sets the time."""
    return lambda seconds: monkeypatch.setattr(clock.time, "monotonic", lambda: seconds)


def test_a_budget_keeps_time_for_the_report(at):
    at(100.0)
    budget = Clock(60.0)
    at(110.0)
    assert budget.left == 47.0
    at(400.0)
    assert budget.left < 0


def test_long_trainings_are_limited_and_a_budget_that_is_shorter_holds(at):
    at(0.0)
    free, short = Clock(None), Clock(100.0)
    for each in (free, short):
        each.limit(20.0, workers=2)
    assert free.left == math.inf
    for each in (free, short):
        each.limit(40.0, workers=2)
    assert (free.left, short.left) == (477.0, 97.0)
    alone = Clock(None)
    alone.limit(40.0, workers=1)
    assert alone.left == 957.0
