import math

import pytest

from normwise.doctor import budget
from normwise.doctor.budget import Clock, said, seconds
from normwise.errors import RequestError


@pytest.mark.parametrize(
    ("text", "expected"), [("90s", 90), ("10m", 600), ("1.5h", 5400), ("45", 45), (30, 30), (" 2 m ", 120)]
)
def test_a_time_is_read(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "10x", "-5m", "0s", "ten minutes", "1h30m", "inf", "nan"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(RequestError, match="allowed: a time such as 90s"):
        seconds(text)


def test_a_time_is_said():
    assert [said(each) for each in (0.2, 8.4, 99, 100, 125, 5900, 7200)] == [
        "1 s", "8 s", "99 s", "2 min", "2 min", "98 min", "2.0 h",
    ]  # fmt: skip


@pytest.fixture
def at(monkeypatch):
    """Sets the time."""
    return lambda seconds: monkeypatch.setattr(budget.time, "monotonic", lambda: seconds)


def test_a_budget_keeps_time_for_the_report(at):
    at(100.0)
    clock = Clock(60.0)
    at(110.0)
    assert clock.left == 47.0
    at(400.0)
    assert clock.left < 0


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
