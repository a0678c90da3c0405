import pytest

from measurements import measurement
from normwise.bench.cases import FORWARD, TRAIN
from normwise.bench.summary import geometric_mean, summarise


def test_the_geometric_mean():
    assert geometric_mean([2.0, 8.0]) == pytest.approx(4.0)  # through a logarithm
    assert geometric_mean([3.0]) == pytest.approx(3.0)
    assert geometric_mean([]) is None


def test_a_row_for_each_mode_and_epilogue():
    rows = summarise([
        measurement(2.0, over_floor=0.5),
        measurement(8.0, over_floor=2.0, layout="channels_last", torch_error=99.0),
        measurement(0.8, shape=(60, 100), mode=FORWARD),
        measurement(error=99.0, epilogue="bn"),
    ])  # fmt: skip
    assert [(row.mode, row.epilogue, row.cases) for row in rows] == [
        (TRAIN, "bn", 1), (TRAIN, "bn+relu", 2), (FORWARD, "bn+relu", 1)
    ]  # fmt: skip
    assert rows[1].speed == pytest.approx(4.0)
    assert rows[1].in_place == pytest.approx(3.6)
    assert rows[1].over_floor == pytest.approx(1.0)
    assert rows[1].compiled is None
    assert (rows[1].wrong, rows[1].torch_wrong) == (0, 1)
    assert rows[1].worst == (2.0, "32x64x56x56 contiguous bn+relu forward+backward")
    assert rows[1].worst_small is None


def test_a_wrong_case_is_in_no_mean():
    (row,) = summarise([measurement(2.0), measurement(9.0, error=float("nan"))])
    assert (row.cases, row.wrong, row.speed) == (2, 1, pytest.approx(2.0))
    (row,) = summarise([measurement(error=99.0)])
    assert (row.speed, row.over_floor, row.worst) == (None, None, None)


def test_small_cases_are_apart():
    (row,) = summarise([measurement(2.0), measurement(0.9, shape=(60, 100))])
    assert (row.worst.speed, row.worst_small.speed) == (2.0, 0.9)
    assert row.as_dict()["worst_small"] == {"speed": 0.9, "name": "60x100 contiguous bn+relu forward+backward"}
