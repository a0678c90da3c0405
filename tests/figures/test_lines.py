"""Lines in frames: axes that fit, names at ends, and what is said of them."""

import math

import pytest

from normwise.figures import endings, line_layout, lines, packing

X, Y = lines.Axis("training step"), lines.Axis("accuracy", percent=True)
STEPS = [0, 10, 20]


def line(name, ys=(0.1, 0.5, 0.9), place=0, **rest):
    return lines.Line(name, STEPS, ys, place, **rest)


def test_axes_fit_every_frame_with_bands_levels_and_contours():
    band = line("bn", low=(0.0, 0.4, 0.8), high=(0.2, 0.6, 1.5))
    info = lines.info("t", X, Y, [lines.Frame("a", [band], [lines.Level(-1.0, "zero")]), lines.Frame("b", [line("c")])])
    low, high = info.y.limits
    assert (low < -1.0, high > 1.5, info.columns) == (True, True, 2)
    land = lines.Contours((-10.0, 10.0), (-5.0, 5.0), ((1.0, 2.0), (2.0, 1.0)), (1.5,))
    assert lines.info("t", X, Y, [lines.Frame("a", [line("b")], (), land)]).x.limits[0] < -10


@pytest.mark.parametrize("ys", [(math.nan,) * 3, (2.0, 2.0, 2.0), (0.0, -1.0, math.inf), (1e-9, 1.0, 1e9)])
@pytest.mark.parametrize("log", [False, True])
def test_any_values_have_axes_and_are_drawn(ys, log):
    info = lines.info("t", X._replace(log=log), lines.Axis("y", log=log), [line("a", ys)])
    low, high = info.y.limits
    assert math.isfinite(low) and math.isfinite(high) and low < high  # noqa: PT018
    lines.draw(info).canvas.draw()


def test_names_stand_at_ends_of_a_wide_figure_and_in_the_key_of_a_narrow_one():
    ours = [line("plain"), line("bn", (0.1, 0.8, 0.91), 1), line("bn", (0.1, 0.8, 0.89), 1)]
    info = lines.info("t", X, Y, ours)
    found = line_layout.names(info, 7.2)
    assert [(each.text, each.place) for each in sorted(found, key=lambda each: each.text)] == [("bn", 1), ("plain", 0)]
    assert abs(found[0].at - found[1].at) >= endings.LINE - 1e-9
    assert line_layout.names(info, 4.4) == []
    assert line_layout.names(lines.info("t", X, Y, [line(f"arm {n}") for n in range(40)]), 7.2) == []
    short = lines.Line("stops early", [0, 1, 2], [0, 0, 0])
    assert line_layout.names(lines.info("t", X, Y, [line("a"), short]), 7.2) == []
    for width in (7.2, 4.4):
        lines.draw(info, width=width).canvas.draw()


@pytest.mark.parametrize(
    ("middles", "sizes", "expected"),
    [
        ([1.0, 2.0], [0.2, 0.2], [1.0, 2.0]),
        ([1.0, 1.0], [0.2, 0.2], [0.9, 1.1]),
        ([0.0, 0.05, 3.0], [0.2, 0.4, 0.2], [0.1, 0.4, 2.9]),
        ([1.0, 1.0, 1.0], [1.0, 1.0, 1.1], None),
    ],
)
def test_names_are_moved_apart_within_the_axes(middles, sizes, expected):
    found = endings.apart(middles, sizes, 3.0)
    assert found == (expected and pytest.approx(expected))


def test_long_and_wide_names_take_two_lines_at_most():
    assert endings.wrapped("batch normalization after the activation") == [
        "batch normalization",
        "after the activation",
    ]
    assert len(endings.wrapped("배치 정규화를 한 신경망의 기울기")[0]) <= 16
    assert endings.endings([("word " * 40, 0, 1.0, 1.0)], 3.0) == [] or len(endings.wrapped("word " * 40)) <= 2


def test_lines_of_one_name_are_said_once():
    info = lines.info("Accuracy", X, Y, [line("bn"), line("bn", (0.3, 0.5, 0.7)), line("gone", (math.nan,) * 3)])
    said = lines.describe(info)
    assert "bn (2 lines): 20.0 % at 0 to 80.0 % at 20." in said
    assert "gone: no finite value." in said


def test_figures_are_kept_as_plain_data_and_drawn_again():
    land = lines.Contours((0.0, 1.0), (0.0, 1.0), ((1.0, 2.0), (2.0, 1.0)), (1.5,))
    path = lines.Line("path", (0.0, 1.0, 0.5), (0.123456, math.nan, math.inf), 1, "path")
    info = lines.info("t", X, Y._replace(limits=(0.0, 1.0)), [lines.Frame("a", (path,), (), land)])
    again = packing.unpack("lines", packing.pack(info))
    assert again.frames[0].contours == land
    assert again.frames[0].lines[0].y[0] == 0.1235
    assert (math.isnan(again.frames[0].lines[0].y[1]), again.frames[0].lines[0].look) == (True, "path")
    assert packing.pack(again) == packing.pack(info)
    lines.draw(again).canvas.draw()
    with pytest.raises(ValueError, match="'curves' is not kept"):
        packing.module("curves")


def test_a_level_is_named_where_no_line_is_near():
    falling = line("a", (0.9, 0.5, 0.0))
    level = lines.Level(0.0, "chance")
    info = lines.info("t", X, Y, [lines.Frame("", [falling], [level])])
    assert line_layout.side(level, info.frames[0], info) == "left"
    assert line_layout.side(lines.Level(0.9, "best"), info.frames[0], info) == "right"
