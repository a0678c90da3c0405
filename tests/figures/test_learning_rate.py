from __future__ import annotations

import math
import re

import pytest

from normwise.figures import learning_rate
from synthetic import record, study


def test_info_has_the_mean_and_range_of_each_runs_best():
    runs = study(lrs=[2.0, 0.02, 0.2], steps=300)
    info = learning_rate.info(runs)
    assert [arm.arm for arm in info.arms] == ["plain", "bn"]
    assert info.rates == [0.02, 0.2, 2.0]
    best = [
        max(line["validation"]["accuracy"] for line in run.metrics)
        for run in runs
        if run.settings["arm"] == "bn" and run.settings["lr"] == 0.2
    ]
    point = info.arms[1].points[1]
    assert (point.lr, point.runs) == (0.2, 3)
    assert point.mean == pytest.approx(sum(best) / 3, rel=1e-12)  # summed in another order
    assert (point.low, point.high) == (min(best), max(best))


def test_diverged_runs_are_marked_at_their_best():
    runs = [record(seed=0, lr=20, diverged=150, steps=300), record(seed=1, lr=20, steps=300)]
    runs[0].metrics[-1]["validation"]["accuracy"] = None
    (point,) = learning_rate.info(runs).arms[0].points
    assert point.diverged == (runs[0].metrics[0]["validation"]["accuracy"],)
    assert "1 of 2 runs diverged at 20" in learning_rate.describe(learning_rate.info(runs))


def scored(lr, *accuracies, diverged=None):
    runs = [record(seed=seed, lr=lr, steps=0, diverged=diverged, every=1) for seed in range(len(accuracies))]
    for run, accuracy in zip(runs, accuracies, strict=True):
        run.metrics[0]["validation"]["accuracy"] = accuracy
    return runs


def test_the_best_rate_has_the_highest_mean_and_not_the_luckiest_run():
    (arm,) = learning_rate.info([*scored(0.02, 0.6, 0.7), *scored(0.2, 0.2, 0.9)]).arms
    assert (arm.best.lr, arm.best.mean) == (0.02, pytest.approx(0.65))


def test_a_run_counts_with_its_best_and_not_its_last_evaluation():
    run = record(steps=200)
    for line, accuracy in zip(run.metrics, (0.2, 0.8, 0.5), strict=True):
        line["validation"]["accuracy"] = accuracy
    assert learning_rate.info([run]).arms[0].points[0].mean == 0.8


def test_a_run_that_diverged_counts_with_its_best():
    (arm,) = learning_rate.info([*scored(0.2, 0.9), *scored(0.2, 0.3, diverged=1)]).arms
    (point,) = arm.points
    assert (point.mean, point.low, point.high) == (pytest.approx(0.6), 0.3, 0.9)


def test_no_finite_value_at_all():
    run = record(lr=20, diverged=1, steps=0)
    run.metrics.clear()
    info = learning_rate.info([run, record(lr=2)])
    assert math.isnan(info.arms[0].points[1].mean)
    assert info.arms[0].best == info.arms[0].points[0]
    learning_rate.draw(info).canvas.draw()
    assert "no finite value" in learning_rate.describe(learning_rate.info([run]))


def test_describe_says_best_and_worst():
    runs = [record(lr=lr, steps=0) for lr in (0.02, 0.2)]
    for run, accuracy in zip(runs, (0.25, 0.955), strict=True):
        run.metrics[0]["validation"]["accuracy"] = accuracy
    assert learning_rate.describe(learning_rate.info(runs)) == (
        "Best validation accuracy against learning rate (0.02, 0.2), mean and range over seeds. "
        "plain: best at 0.2 with 95.5 %, worst at 0.02 with 25.0 %."
    )


def test_draw_has_a_logarithmic_axis_with_the_rates_as_ticks():
    runs = [*study(lrs=[0.02, 0.2]), record(lr=20, diverged=200)]
    axes = learning_rate.draw(learning_rate.info(runs)).axes[0]
    assert axes.get_xscale() == "log"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0.02", "0.2", "20"]
    assert sum(line.get_marker() == "x" for line in axes.lines) == 1


def test_percents_have_no_more_digits_than_they_need():
    runs = [record(lr=lr, steps=0) for lr in (0.02, 0.2)]
    for run, accuracy in zip(runs, (0.96, 0.98), strict=True):
        run.metrics[0]["validation"]["accuracy"] = accuracy
    axes = learning_rate.draw(learning_rate.info(runs)).axes[0]
    axes.figure.canvas.draw()
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    assert "96 %" in labels
    assert all(re.fullmatch(r"\d+(\.\d)? %", label) for label in labels)
