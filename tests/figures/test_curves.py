from __future__ import annotations

import math

import pytest

from normwise.figures import curves
from normwise.records.metric import Metric
from synthetic import record, study


def test_info_has_the_mean_and_the_range_over_seeds():
    runs = study(["plain", "bn"], seeds=3, steps=300)
    info = curves.info(runs)
    assert [curve.arm for curve in info.curves] == ["plain", "bn"]
    curve = info.curves[1]
    finals = [run.metrics[-1]["test"]["accuracy"] for run in runs if run.settings["arm"] == "bn"]
    assert curve.seeds == 3
    assert curve.parts[0].steps == (0, 100, 200, 300)
    assert curve.parts[0].mean[-1] == pytest.approx(sum(finals) / 3, rel=1e-12)  # summed in another order
    assert (curve.parts[0].low[-1], curve.parts[0].high[-1]) == (min(finals), max(finals))
    assert curve.parts[1].mean[-1] == pytest.approx(
        sum(run.metrics[-1]["train"]["accuracy"] for run in runs[3:]) / 3, rel=1e-12
    )


def test_a_null_is_a_gap():
    run = record(steps=300)
    run.metrics[2]["test"]["loss"] = None
    curve = curves.info([run], "loss").curves[0]
    assert math.isnan(curve.parts[0].mean[2])
    assert math.isfinite(curve.parts[1].mean[2])
    assert "from" in curves.describe(curves.info([run], "loss"))


def test_a_run_that_diverged_stops_counting_and_is_marked_at_its_last_finite_value():
    short, long = record("hot", 0, steps=500, diverged=250), record("hot", 1, steps=500)
    short.metrics[-1]["test"]["loss"] = None
    curve = curves.info([short, long], "loss").curves[0]
    assert curve.diverged == (curves.Cross(250, short.metrics[1]["test"]["loss"]),)
    assert curve.parts[0].mean[3:] == tuple(line["test"]["loss"] for line in long.metrics[3:])
    assert curve.parts[0].mean[2] == long.metrics[2]["test"]["loss"]
    assert "diverged at step 250" in curves.describe(curves.info([short, long], "loss"))


def test_a_run_without_one_finite_value_is_still_drawn_and_described():
    run = record("hot", steps=0, diverged=1, every=1)
    run.metrics.clear()
    for quantity in ("metric", "loss"):
        info = curves.info([run, record("plain", steps=200)], quantity)
        assert math.isnan(info.curves[0].diverged[0].value)
        assert "hot (1 seed): no finite value. A run diverged at step 1." in curves.describe(info)
        curves.draw(info).canvas.draw()


def test_the_loss_axis_is_positive_and_not_stretched_by_a_divergence():
    runs = study(steps=300)
    runs[0].metrics[-1]["test"]["loss"] = 1e30
    runs[1].metrics[-1]["train"]["loss"] = 0.0
    low, high = curves.info(runs, "loss").limits
    assert 0 < low < high < 100


def test_accuracy_limits_hold_every_value():
    info = curves.info(study())
    values = [value for curve in info.curves for value in (*curve.parts[1].high, *curve.parts[0].low)]
    assert info.limits[0] <= min(values)
    assert max(values) <= info.limits[1]


def test_describe_says_the_numbers():
    run = record(steps=100)
    run.metrics[0]["test"]["accuracy"], run.metrics[-1]["test"]["accuracy"] = 0.1, 0.954
    run.metrics[-1]["train"]["accuracy"] = 0.99
    assert curves.describe(curves.info([run])) == (
        "Accuracy over training (accuracy, higher is better): test solid and train dashed. "
        "plain (1 seed): test from 10.0 % at step 0 to 95.4 % at step 100, train 99.0 %."
    )


def test_draw_has_a_solid_and_a_dashed_line_per_arm_and_a_log_axis_for_loss():
    axes = curves.draw(curves.info(study(), "loss")).axes[0]
    assert axes.get_yscale() == "log"
    colours = [line.get_color() for line in axes.lines]
    assert len(set(colours)) == 2
    assert [line.is_dashed() for line in axes.lines] == [True, False, True, False]
    assert len({line.get_marker() for line in axes.lines if not line.is_dashed()}) == 2


def test_lines_are_the_means_and_bands_the_range_of_their_part():
    info = curves.info(study(["plain"], seeds=3, steps=300))
    (curve,) = info.curves
    axes = curves.draw(info).axes[0]
    train, test = axes.lines
    assert [*train.get_ydata()] == [*curve.parts[1].mean]
    assert [*test.get_ydata()] == [*curve.parts[0].mean]
    for band, part in zip(axes.collections, reversed(curve.parts), strict=True):
        assert {*part.low, *part.high} <= set(band.get_paths()[0].vertices[:, 1])


def test_each_cross_is_drawn():
    runs = [record("hot", seed, steps=500, diverged=250 + seed) for seed in range(2)]
    lines = curves.draw(curves.info(runs)).axes[0].lines
    assert sum(line.get_marker() == "x" for line in lines) == 2


def test_short_curves_have_a_marker_too():
    figure = curves.draw(curves.info([record("hot", steps=5000, diverged=1), *study(["plain"])]))
    figure.canvas.draw()
    solid = [line for line in figure.axes[0].lines if not line.is_dashed() and line.get_marker() != "x"]
    assert all(line.get_markevery() for line in solid)


def test_another_metric_gives_its_name_and_direction_and_no_percent():
    rmse = Metric("rmse", "RMSE", higher_is_better=False)
    info = curves.info(study(metric=rmse, steps=300))
    assert (info.title, info.label, info.percent) == ("RMSE over training", "RMSE, lower is better", False)
    assert "%" not in curves.describe(info)
    figure = curves.draw(info)
    figure.canvas.draw()
    assert not any("%" in label.get_text() for label in figure.axes[0].get_yticklabels())
    assert curves.info(study(metric=rmse, steps=300), "loss").label == "mean squared error, lower is better"


def test_the_first_values_of_r2_do_not_flatten_the_rest_and_are_marked():
    info = curves.info(study(metric=Metric("r2", "R²")))
    assert min(info.curves[0].main.mean) < -10
    assert -3 < info.limits[0] < 0 < info.curves[0].main.mean[-1] < info.limits[1] < 1
    assert "drawn at the foot of the axis" in curves.describe(info)
    marks = [line for line in curves.draw(info).axes[0].lines if line.get_marker() == "v"]
    assert len(marks) == 4  # test and training values of each arm


def test_an_arm_without_runs_leaves_the_colours_of_the_others():
    (curve,) = curves.info([record("bn", steps=200)], arms=["plain", "bn"]).curves
    assert curve.place == 1
    assert {line.arm for line in curves.chart(curves.info([record("bn", steps=200)], arms=["plain", "bn"])).lines} == {
        1
    }


def test_losses_below_zero_have_a_linear_axis():
    run = record(steps=200)
    run.metrics[-1]["test"]["loss"] = -3.0
    info = curves.info([run], "loss")
    assert not info.log
    assert info.limits[0] < -3


def test_the_overlay_of_gradients_has_the_first_and_the_last_layer_of_every_arm():
    runs = study(layers=3, steps=200, seeds=1)
    info = curves.info(runs, "gradients")
    assert info.parts == ("first layer", "last layer")
    first, last = info.curves[0].parts
    assert first.mean[-1] == runs[0].metrics[-1]["gradients"][0]["norm"]
    assert last.mean[-1] == runs[0].metrics[-1]["gradients"][-1]["norm"]


def test_the_band_of_preactivations_is_the_spread_over_units():
    run = record(steps=200)
    band = curves.info([run], "preactivations").curves[0].main
    item = run.metrics[-1]["preactivations"][-1]
    assert (band.low[-1], band.mean[-1], band.high[-1]) == (item["p15"], item["p50"], item["p85"])


def test_the_chart_has_each_mean_and_each_seed():
    runs = study(["plain"], seeds=2, steps=200)
    line = curves.chart(curves.info(runs)).lines[0]
    assert (line.name, line.part, line.x) == ("plain", "test", (0, 100, 200))
    assert [y[-1] for _, y in line.seeds] == [run.metrics[-1]["test"]["accuracy"] for run in runs]
