"""Histograms in rows and columns."""

import math

import pytest

from normwise.figures import dots, heatmap, histograms, packing

CELL = histograms.Cell((-1.0, 0.0, 1.0), (1.0, 3.0), "σ 0.5")


def grid(columns, rows=("He", "Xavier")):
    made = [histograms.Row(name, [CELL] * columns, place) for place, name in enumerate(rows)]
    return histograms.info("Outputs", "output", [f"layer {n}" for n in range(columns)], made)


def test_a_row_is_said_by_its_last_histogram():
    empty = histograms.Row("empty", [histograms.Cell((0.0, 1.0), (0.0,))])
    info = grid(2)._replace(rows=(*grid(2).rows, empty, histograms.Row("none", [])))
    said = histograms.describe(info)
    assert "He: in layer 1 75 % lie between 0 and 1." in said
    assert "empty: no value in layer 1." in said
    assert "none: nothing." in said
    assert histograms.bounds(info) == (-1.0, 1.0)
    histograms.draw(info).canvas.draw()


@pytest.mark.parametrize(("columns", "width", "expected"), [(5, 7.2, [5]), (5, 4.4, [3, 2]), (1, 4.4, [1])])
def test_columns_without_room_go_on_below(columns, width, expected):
    info = grid(columns, ("a very long name of a row",))
    assert [len(block) for block in histograms.blocks(info, width)] == expected
    histograms.draw(info, width=width).canvas.draw()


@pytest.mark.parametrize(
    ("drawing", "info"),
    [
        ("histograms", grid(2)),
        ("dots", dots.info("t", "l", [dots.Row("a", 0.5, 0.1, (0.4, math.nan), "better")], [dots.Level(0.1, "x")])),
        ("heatmap", heatmap.info({"fc1": {0: 0.5, 1: None, 2: math.nan}}, heatmap.Quantity("t", "l", percent=True))),
    ],
)
def test_figures_are_kept_as_plain_data(drawing, info):
    kept = packing.pack(info)
    again = packing.unpack(drawing, kept)
    assert packing.pack(again) == kept
    assert type(again) is type(info)
    assert packing.module(drawing).describe(again) == packing.module(drawing).describe(info)
