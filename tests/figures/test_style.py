from __future__ import annotations

import math

import matplotlib as mpl
import pytest

from normwise.figures import curves, style, svg
from synthetic import study

TEXT, GRAPHICS = 4.5, 3.0  # WCAG 2.2, success criteria 1.4.3 and 1.4.11: least contrast of text and of graphics


def luminance(colour: str) -> float:
    """WCAG relative luminance."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("light", sorted(style.dark().keys() - {style.GRID}))  # the grid is meant to recede
def test_every_colour_stands_out_on_white_and_on_dark(light):
    least = TEXT if light in (style.INK, style.MUTED) else GRAPHICS
    assert contrast(light, style.PAPER) >= least
    assert contrast(style.dark()[light], style.DARK_PAPER) >= least


def test_colour_and_marker_together_tell_72_arms_apart():
    assert len({(style.colour(place), style.marker(place)) for place in range(72)}) == 72


@pytest.mark.parametrize("colours", [list(style.dark()), list(style.dark().values())])
def test_the_ramp_is_ordered_in_grey(colours):
    ramp = [luminance(colour) for colour in colours[-style.RAMP_STEPS :]]
    assert ramp == sorted(ramp)


def test_the_ramp_spans_from_the_first_layer_to_the_last():
    assert style.ramp(0, 1) == style.ramp(0, 7)
    assert len({style.ramp(index, 7) for index in range(7)}) == 7
    assert style.ramp(49, 50) == list(style.dark())[-1]


def test_drawing_leaves_matplotlibs_settings_alone():
    before = dict(mpl.rcParams)
    curves.draw(curves.info(study()))
    assert dict(mpl.rcParams) == before


def test_a_readers_own_settings_do_not_change_the_figures():
    info = curves.info(study(seeds=1))
    expected = svg(curves.draw(info), "a")
    with mpl.rc_context({"font.size": 30, "axes.edgecolor": "red", "svg.fonttype": "path", "lines.linewidth": 9}):
        assert svg(curves.draw(info), "a") == expected


@pytest.mark.parametrize("colours", [[*style.ARMS, style.INK], [*style.ARMS.values(), style.dark()[style.INK]]])
def test_no_two_colours_of_arms_are_close(colours):
    """CIE 1976: the distance of two colours in L*a*b*."""
    for place, one in enumerate(colours):
        for other in colours[:place]:
            assert math.dist(lab(one), lab(other)) >= 20, (one, other)


def lab(colour: str) -> tuple[float, float, float]:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    whole = (
        (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.95047,
        0.2126 * r + 0.7152 * g + 0.0722 * b,
        (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.08883,
    )
    x, y, z = (t ** (1 / 3) if t > 216 / 24389 else (24389 / 27 * t + 16) / 116 for t in whole)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)
