from __future__ import annotations

import math

import pytest

from normwise.figures import preactivations
from synthetic import record, study


def test_info_pools_each_percentile_of_the_last_hidden_layer():
    runs = study(["plain"], seeds=3, layers=4, steps=200)
    info = preactivations.info(runs)
    assert (info.arm, info.layer) == ("plain", "activation4")
    for key in ("p15", "p50", "p85"):
        values = [run.metrics[-1]["preactivations"][-1][key] for run in runs]
        assert getattr(info, key).mean[-1] == pytest.approx(sum(values) / 3, rel=1e-12)  # summed in another order
    assert [median.mean[-1] for median in info.medians] == [
        run.metrics[-1]["preactivations"][-1]["p50"] for run in runs
    ]


def test_a_layer_can_be_named():
    info = preactivations.info([record(steps=100)], "activation1")
    assert info.layer == "activation1"
    assert preactivations.title(info) == "plain: input of activation1"


def test_a_null_is_a_gap():
    run = record(steps=200)
    run.metrics[1]["preactivations"][-1].update(p15=None, p50=None, p85=None)
    info = preactivations.info([run])
    assert math.isnan(info.p50.mean[1])
    assert math.isfinite(info.p50.mean[2])


def test_limits_hold_the_band_but_not_one_outlier():
    run = record(steps=5000, every=10)
    run.metrics[-1]["preactivations"][-1]["p85"] = 1e9
    low, high = preactivations.info([run]).limits
    assert high < 100
    assert low <= min(preactivations.info([run]).p15.mean)


def test_shared_limits_hold_every_arm_but_one_that_exploded():
    runs = study(["plain", "bn", "he"], seeds=1)
    infos = [preactivations.info([run]) for run in runs]
    calm = preactivations.shared_limits(infos)
    assert calm[0] < min(min(info.p15.mean) for info in infos)
    hot = record("hot", steps=1000, diverged=1000)
    for line in hot.metrics[2:]:
        line["preactivations"][-1].update(p15=-1e15, p50=-1e15, p85=-1e14)
    exploded = preactivations.info([hot])
    low, high = preactivations.shared_limits([*infos, exploded])
    assert -20 < low < high < 20
    assert [cross.step for cross in exploded.diverged] == [1000]
    axes = preactivations.draw(exploded._replace(limits=(low, high), last=5000)).axes[0]
    assert axes.get_ylim() == (low, high)
    assert axes.get_xlim()[1] > 5000
    assert {"x", "v"} <= {line.get_marker() for line in axes.lines}


def test_describe_says_the_percentiles_at_both_ends():
    run = record(steps=100)
    run.metrics[0]["preactivations"][-1].update(p15=-1.0, p50=0.25, p85=1.5)
    said = preactivations.describe(preactivations.info([run]))
    assert "activation3 of plain" in said
    assert "At step 0: -1.00, 0.25, 1.50; At step 100: " in said


def test_runs_without_values_are_drawn_empty():
    run = record(steps=0)
    run.metrics.clear()
    info = preactivations.info([run])
    assert preactivations.describe(info).endswith("No finite value.")
    preactivations.draw(info).canvas.draw()


def test_the_band_reaches_from_the_15th_to_the_85th_percentile_and_the_line_is_the_median():
    info = preactivations.info(study(["plain"], seeds=3, steps=300))
    axes = preactivations.draw(info).axes[0]
    assert {*info.p15.mean, *info.p85.mean} <= set(axes.collections[0].get_paths()[0].vertices[:, 1])
    assert [*axes.lines[-1].get_ydata()] == [*info.p50.mean]


def test_the_arm_has_the_colour_of_its_place():
    first, second = (preactivations.draw(preactivations.info([record()], place=place)) for place in (0, 1))
    assert first.axes[0].lines[-1].get_color() != second.axes[0].lines[-1].get_color()
