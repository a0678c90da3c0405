import pytest

from normwise.doctor.budget import said, seconds
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
