from __future__ import annotations

import pytest

from normwise.figures import curves, layout
from synthetic import study


def test_plain_text_is_one_line_and_not_too_long():
    assert layout.plain_text("a\nb\x00c\ud800") == "a b c "
    long = layout.plain_text("begin" + "x" * 100 + "end")
    assert len(long) <= 46
    assert long.startswith("begin")
    assert long.endswith("end")
    assert "…" in long


def test_a_long_key_makes_the_figure_taller_and_not_the_axes_smaller():
    short, long = (curves.draw(curves.info(study(arms, 1))) for arms in (["a"], [str(i) * 40 for i in range(6)]))
    heights = [figure.axes[0].get_position().height * figure.get_size_inches()[1] for figure in (short, long)]
    assert heights == pytest.approx([layout.AXES_HEIGHT] * 2, rel=1e-9)  # inches through a fraction and back
    assert long.get_size_inches()[1] > short.get_size_inches()[1]


def test_a_key_with_no_room_beside_the_heading_stands_below_it():
    notes = [layout.Entry(name, {}) for name in ("first", "last", "diverged")]
    for heading, keys in (("Loss over training", 2), ("Gradient norm in the first and the last layer", 1)):
        figure, _ = layout.panel(heading, [layout.Entry("plain", {})], notes)
        assert len(figure.legends) == keys


def test_a_text_is_cut_into_rows():
    assert layout.cut("tanh, trained for long", 8, 2) == ["tanh,", "trained…"]
    assert layout.cut("", 8) == [""]
    assert layout.cut("one\x00two", 20) == ["one two"]
