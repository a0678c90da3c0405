from __future__ import annotations

import math

import pytest

from normwise.figures import heatmap

GRADIENT = heatmap.Quantity("Gradient by layer", "norm")
SHARE = heatmap.Quantity("Dead units", "share of units", percent=True)


def vanishing(layers: int = 20, steps: int = 10) -> dict[str, dict[int, float | None]]:
    return {f"hidden{place}": dict.fromkeys(range(1, steps + 1), 10.0 ** (place - layers)) for place in range(layers)}


def test_info_has_every_layer_in_order_and_few_columns_with_the_first_and_the_last():
    info = heatmap.info(vanishing(60, 500), GRADIENT)
    assert info.layers == tuple(f"hidden{place}" for place in range(60))
    assert len(info.steps) * 60 <= heatmap.CELLS
    assert (info.steps[0], info.steps[-1]) == (1, 500)
    assert info.values[0][0] == 1e-60


def test_the_colors_span_whole_powers_of_ten_and_at_least_two():
    assert heatmap.info(vanishing(5), GRADIENT).limits == pytest.approx((1e-5, 1e-1))
    low, high = heatmap.info({"a": {1: 0.3, 2: 0.31}}, GRADIENT).limits
    assert (low, high) == pytest.approx((0.01, 1.0))
    low, high = heatmap.info(vanishing(60), GRADIENT).limits
    assert math.log10(high / low) == pytest.approx(heatmap.DECADES)


def test_describe_says_which_layer_has_least_and_the_ratio_of_the_first_to_the_last():
    said = heatmap.describe(heatmap.info(vanishing(8), GRADIENT))
    assert "At step 1: least in hidden0, 10⁻⁸; most in hidden7, 0.1; the first layer has 10⁻⁷ of the last." in said
    assert "At step 10: least in hidden0" in said


def test_zero_not_finite_and_not_measured_are_told_apart():
    rows = {"a": {1: 0.1, 2: 0.0, 3: 0.0}, "b": {1: 0.1, 2: 0.0, 3: 0.0}, "c": {1: None, 2: 0.2, 3: math.nan}}
    info = heatmap.info(rows, GRADIENT)
    assert sorted(heatmap.blocks(info)) == [
        ("exactly 0", 0, 1, 2, 2),
        ("not finite", 2, 2, 1, 1),
        ("not measured", 2, 0, 1, 1),
    ]
    said = heatmap.describe(info)
    assert "Exactly 0 at some steps in a, b." in said
    assert "Not finite in c, first at step 3." in said
    assert [text.get_text() for text in heatmap.draw(info).texts][2:] == ["exactly 0", "not finite", "not measured"]


def test_a_training_that_was_lost_is_shown_until_shortly_after():
    rows = {"a": {step: 0.1 * step if step < 7 else math.nan for step in range(1, 300)}}
    assert heatmap.info(rows, GRADIENT).steps == (1, 2, 3, 4, 5, 6, 7, 8)


def test_a_share_of_zero_is_a_color_like_any_other():
    info = heatmap.info({"relu": {1: None, 2: 0.0, 3: 1.0}}, SHARE)
    assert info.limits == (0, 1)
    assert [kind for kind, *_ in heatmap.blocks(info)] == ["not measured"]
    assert "At step 3: 100 % in all" in heatmap.describe(info)


def test_nothing_measured_is_no_figure():
    assert heatmap.info({}, GRADIENT) is None
    assert heatmap.info({"a": {1: None}}, GRADIENT) is None


def test_long_names_lose_the_modules_that_all_are_in():
    rows = {f"model.encoder.layers.{place}.linear": {1: 1.0} for place in range(40)}
    axes = heatmap.draw(heatmap.info(rows, GRADIENT)).axes[-1]
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels[:2] == ["…0.linear", "…2.linear"]


def test_a_page_gets_the_values_of_the_cells():
    info = heatmap.info({"0": {1: 0.5}}, GRADIENT)
    assert heatmap.grid(info) == heatmap.Grid(("layer 0",), (1,), ((0.5,),), percent=False)
