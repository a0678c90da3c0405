from __future__ import annotations

import pytest

from measurements import measurement
from normwise.figures import speed


def cases(*measurements):
    return [found.as_dict() for found in measurements]


def test_info_groups_by_epilogue_with_small_inputs_first():
    info = speed.info(cases(
        measurement(2.0, epilogue="bn+add+relu"),
        measurement(8.0),
        measurement(2.0, shape=(60, 100), over_floor=0.25),
        measurement(5.0, mode="forward"),
        measurement(error=99.0),
    ))  # fmt: skip
    assert info.mode == "forward+backward"
    assert [group.epilogue for group in info.groups] == ["bn+relu", "bn+add+relu"]
    assert [point.values for point in info.groups[0].points] == [6000, 32 * 64 * 56 * 56]
    assert info.groups[0].mean == pytest.approx(4.0)  # through a logarithm
    point = info.groups[0].points[0]
    assert (point.speed, point.low, point.high, point.floor) == (2.0, 1.8, 2.2, 0.5)
    assert speed.info(cases(measurement(), measurement(mode="forward")), "forward").mode == "forward"


def test_describe_says_means_and_extremes():
    info = speed.info(cases(measurement(2.0), measurement(8.0, layout="channels_last")))
    assert speed.describe(info) == (
        "How many times as fast as torch's layer each case is, forward+backward, by epilogue, small inputs first. "
        "bn+relu: geometric mean 4.00 over 2 cases, from 2.00 (32x64x56x56 contiguous bn+relu forward+backward) "
        "to 8.00 (32x64x56x56 channels_last bn+relu forward+backward)."
    )
    assert speed.title(info) == "Speed against torch, forward+backward"


def test_nothing_to_draw():
    info = speed.info(cases(measurement(error=99.0)))
    assert speed.describe(info) == "No case has a speed."
    speed.draw(info).canvas.draw()


def test_draw_marks_the_floor_the_means_and_where_torch_is_wrong():
    figure = speed.draw(speed.info(cases(measurement(2.0), measurement(3.0, layout="channels_last", torch_error=99.0))))
    axes = figure.axes[0]
    assert axes.get_yscale() == "log"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["bn+relu"]
    markers = [line.get_marker() for line in axes.lines]
    assert (markers.count("_"), markers.count("o"), markers.count("s")) == (2, 1, 1)
    (hollow,) = (line for line in axes.lines if line.get_markerfacecolor() == "none")
    assert hollow.get_ydata()[0] == 3.0
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["contiguous", "passes over memory", "torch is wrong", "channels_last", "geometric mean"]
