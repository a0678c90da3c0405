from __future__ import annotations

import pytest

from normwise.figures import activations
from synthetic import record, study


def test_info_has_the_first_and_the_last_histogram_of_the_first_run():
    runs = study(["plain"], seeds=2, steps=200)
    info = activations.info(runs, place=3)
    assert (info.arm, info.seed, info.steps, info.layers, info.place) == ("plain", 0, (0, 200), 3, 3)
    counts = runs[0].metrics[-1]["activations"][1]["counts"]
    assert info.rows[1].end.shares == tuple(count / sum(counts) for count in counts)
    assert (info.rows[1].end.low, info.rows[1].end.high) == (0.0, 1.0)


def test_one_run_is_shown_and_the_others_do_not_matter():
    first, other = record(steps=200), record(seed=1, steps=500, norm="batch")
    assert activations.info([first, other]) == activations.info([first])
    assert activations.info([other]).rows != activations.info([first]).rows


def test_many_layers_show_five_with_both_ends():
    info = activations.info([record(layers=20, steps=100)])
    assert [row.layer for row in info.rows][:: len(info.rows) - 1] == ["activation1", "activation20"]
    assert len(info.rows) == 5
    assert "5 of 20 hidden layers" in activations.describe(info)


def test_the_last_evaluation_with_finite_values_counts():
    run = record(steps=300, diverged=301)
    for item in run.metrics[-1]["activations"]:
        item.update(low=None, high=None)
    assert activations.info([run]).steps == (0, 200)


def test_a_constant_layer_has_a_range():
    run = record(steps=100)
    for line in run.metrics:
        line["activations"][0].update(low=0.5, high=0.5, counts=[7] + [0] * 29)
    info = activations.info([run])
    assert info.rows[0].limits == (0.0, 1.0)
    activations.draw(info).canvas.draw()


def test_a_layer_without_values_is_an_empty_panel():
    run = record(steps=100)
    run.metrics[-1]["activations"][0].update(low=None, high=None)
    info = activations.info([run])
    assert info.rows[0].end.shares == ()
    assert "then no finite value" in activations.describe(info)
    activations.draw(info).canvas.draw()
    run.metrics.clear()
    activations.draw(activations.info([run])).canvas.draw()


@pytest.mark.parametrize(("part", "value"), [(0.15, 0.2), (0.5, 0.4), (1.0, 0.8)])
def test_quantile(part, value):
    histogram = activations.Histogram(0.0, 0.8, (0.25, 0.25, 0.25, 0.25))
    assert histogram.quantile(part) == pytest.approx(value, abs=1e-12)  # exact but for the rounding of 0.2 and 0.8


def test_start_and_end_share_the_range_of_their_row():
    run = record(steps=100, layers=2)
    run.metrics[-1]["activations"][0].update(low=-2.0, high=5.0)
    figure = activations.draw(activations.info([run]))
    by_row = [figure.axes[0], figure.axes[2]]
    assert [axes.get_xlim() for axes in by_row] == [(-2.0, 5.0)] * 2
    assert len(figure.axes) == 4


def test_the_start_is_on_the_left_and_the_end_on_the_right():
    info = activations.info([record(steps=500, layers=1)])
    (row,) = info.rows
    figure = activations.draw(info)
    drawn = [axes.patches[0].get_data().values.tolist() for axes in figure.axes]
    assert drawn == [[*row.start.shares], [*row.end.shares]]
    assert row.start != row.end
    assert [text.get_text() for text in figure.texts][-2:] == ["step 0", "step 500"]


def test_describe_says_where_the_values_lie():
    run = record(steps=100, layers=1)
    run.metrics[0]["activations"][0].update(low=0.0, high=3.0, counts=[10] + [0] * 28 + [10])
    assert "activation1 0.1 to 3, then" in activations.describe(activations.info([run]))
