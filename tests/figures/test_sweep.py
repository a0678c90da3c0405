from __future__ import annotations

import math
import re

import pytest

from normwise.figures import pairs, sweep
from normwise.records.metric import ACCURACY, Metric
from synthetic import record, study


def test_info_has_the_mean_and_range_of_each_runs_best():
    runs = study(lrs=[2.0, 0.02, 0.2], steps=300)
    info = sweep.info(runs, "lr")
    assert [arm.arm for arm in info.arms] == ["plain", "bn"]
    assert [value for value, _ in info.places] == [0.02, 0.2, 2.0]
    best = [
        max(line["validation"]["accuracy"] for line in run.metrics)
        for run in runs
        if run.settings["arm"] == "bn" and run.settings["lr"] == 0.2
    ]
    point = info.arms[1].points[1]
    assert (point.value, point.runs) == (0.2, 3)
    assert point.mean == pytest.approx(sum(best) / 3, rel=1e-12)  # summed in another order
    assert (point.low, point.high) == (min(best), max(best))


def test_diverged_runs_are_marked_at_their_best():
    runs = [record(seed=0, lr=20, diverged=150, steps=300), record(seed=1, lr=20, steps=300)]
    runs[0].metrics[-1]["validation"]["accuracy"] = None
    (point,) = sweep.info(runs, "lr").arms[0].points
    assert point.diverged == (runs[0].metrics[0]["validation"]["accuracy"],)
    assert "1 of 2 runs diverged at 20" in sweep.describe(sweep.info(runs, "lr"))


def scored(lr, *accuracies, diverged=None):
    runs = [record(seed=seed, lr=lr, steps=0, diverged=diverged, every=1) for seed in range(len(accuracies))]
    for run, accuracy in zip(runs, accuracies, strict=True):
        run.metrics[0]["validation"]["accuracy"] = accuracy
    return runs


def test_the_best_rate_has_the_highest_mean_and_not_the_luckiest_run():
    (arm,) = sweep.info([*scored(0.02, 0.6, 0.7), *scored(0.2, 0.2, 0.9)], "lr").arms
    assert (arm.best(ACCURACY).value, arm.best(ACCURACY).mean) == (0.02, pytest.approx(0.65))


def test_a_run_counts_with_its_best_and_not_its_last_evaluation():
    run = record(steps=200)
    for line, accuracy in zip(run.metrics, (0.2, 0.8, 0.5), strict=True):
        line["validation"]["accuracy"] = accuracy
    assert sweep.info([run], "lr").arms[0].points[0].mean == 0.8


def test_a_run_that_diverged_counts_with_its_best():
    (arm,) = sweep.info([*scored(0.2, 0.9), *scored(0.2, 0.3, diverged=1)], "lr").arms
    (point,) = arm.points
    assert (point.mean, point.low, point.high) == (pytest.approx(0.6), 0.3, 0.9)


def test_no_finite_value_at_all():
    run = record(lr=20, diverged=1, steps=0)
    run.metrics.clear()
    info = sweep.info([run, record(lr=2)], "lr")
    assert math.isnan(info.arms[0].points[1].mean)
    assert info.arms[0].best(ACCURACY) == info.arms[0].points[0]
    sweep.draw(info).canvas.draw()
    assert "no finite value" in sweep.describe(sweep.info([run], "lr"))


def test_describe_says_best_and_worst():
    runs = [record(lr=lr, steps=0) for lr in (0.02, 0.2)]
    for run, accuracy in zip(runs, (0.25, 0.955), strict=True):
        run.metrics[0]["validation"]["accuracy"] = accuracy
    assert sweep.describe(sweep.info(runs, "lr")) == (
        "Best validation accuracy against learning rate (0.02, 0.2), mean and range over seeds. "
        "plain: best at 0.2 with 95.5 %, worst at 0.02 with 25.0 %."
    )


def test_draw_has_a_logarithmic_axis_with_the_rates_as_ticks():
    runs = [*study(lrs=[0.02, 0.2]), record(lr=20, diverged=200)]
    axes = sweep.draw(sweep.info(runs, "lr")).axes[0]
    assert [*axes.get_xticks()] == pytest.approx([math.log10(lr) for lr in (0.02, 0.2, 20)])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0.02", "0.2", "20"]
    assert sum(line.get_marker() == "x" for line in axes.lines) == 1


def test_percents_have_no_more_digits_than_they_need():
    runs = [record(lr=lr, steps=0) for lr in (0.02, 0.2)]
    for run, accuracy in zip(runs, (0.96, 0.98), strict=True):
        run.metrics[0]["validation"]["accuracy"] = accuracy
    axes = sweep.draw(sweep.info(runs, "lr")).axes[0]
    axes.figure.canvas.draw()
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    assert "96 %" in labels
    assert all(re.fullmatch(r"\d+(\.\d)? %", label) for label in labels)


def at(key, *values, **options):
    """One run for each value of a key."""
    runs = [record(seed=0, steps=200, **options) for _ in values]
    for run, value in zip(runs, values, strict=True):
        run.settings[key] = value
    return runs


def test_zero_stands_left_of_the_least_on_a_logarithmic_axis():
    info = sweep.info(at("weight_decay", 0.0, 1e-4, 1e-2), "weight_decay")
    assert [place for _, place in info.places] == pytest.approx([-6, -4, -2])
    assert sweep.title(info) == "Best validation accuracy by weight decay"
    axes = sweep.draw(info).axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "0.0001", "0.01"]


def test_near_numbers_have_a_linear_axis():
    assert [place for _, place in sweep.info(at("dropout", 0.2, 0.5, 0.0), "dropout").places] == [0, 0.2, 0.5]


def test_words_and_none_are_categories_in_the_order_given():
    info = sweep.info(at("init", "normal:0.1", "he", "$x$"), "init")
    assert info.places == (("normal:0.1", 0), ("he", 1), ("$x$", 2))
    assert [tick.get_text() for tick in sweep.draw(info).axes[0].get_xticklabels()] == ["normal:0.1", "he", "$x$"]
    assert "(none, 1, 5)" in sweep.describe(sweep.info(at("clip", None, 1.0, 5.0), "clip"))


def test_where_less_is_better_the_best_is_the_least():
    rmse = Metric("rmse", "RMSE", higher_is_better=False)
    runs = [*at("dropout", 0.0, metric=rmse, pace=10.0), *at("dropout", 0.5, metric=rmse, pace=0.1)]
    info = sweep.info(runs, "dropout")
    assert info.arms[0].best(rmse).value == 0.0
    assert info.arms[0].points[0].mean == min(line["validation"]["rmse"] for line in runs[0].metrics)


def test_each_value_is_shown_at_the_best_of_the_other_key():
    runs = [run for lr in (0.02, 0.2) for run in at("dropout", 0.0, 0.5, lr=lr)]
    for run in runs:
        for line in run.metrics:
            line["validation"]["accuracy"] = (
                0.9 if (run.settings["lr"], run.settings["dropout"]) == (0.02, 0.5) else 0.5
            )
    (arm,) = sweep.info(runs, "dropout", ["lr"]).arms
    assert [(point.value, point.mean, point.runs) for point in arm.points] == [(0.0, 0.5, 1), (0.5, 0.9, 1)]
    info = sweep.info(runs, "dropout", ["lr"])
    (line,) = sweep.chart(info).lines
    assert line.notes[1] == "learning rate 0.02"
    assert line.best == (line.x[1],)
    assert "best at 0.5 (learning rate 0.02) with 90.0 %" in sweep.describe(info)
    every = pairs.info(runs, ("lr", "dropout"))
    assert every.means == ((0.5, 0.5), (0.9, 0.5))
    assert every.best == (1, 0)
    assert "Best at learning rate 0.02 and dropout 0.5: 90.0 %." in pairs.describe(every)
    texts = [text.get_text() for text in pairs.draw(every).axes[0].texts]
    assert texts == ["50.0", "50.0", "90.0", "50.0"]


def test_words_are_not_joined_by_a_line():
    for values, joined in (((0.0, 0.5), True), (("he", "xavier"), False)):
        info = sweep.info(at("init", *values), "init")
        assert all(line.joined == joined for line in sweep.chart(info).lines)
        shown = [line for line in sweep.draw(info).axes[0].lines if line.get_linestyle() == "-"]
        assert bool(shown) == joined


def test_a_run_that_has_ended_counts_with_its_best_step_on_the_whole_validation_data():
    run = record(steps=200)
    run.done["best"] = {"step": 100, "validation": {"accuracy": 0.25}}
    assert sweep.info([run, record(lr=2)], "lr").arms[0].points[0].mean == 0.25
