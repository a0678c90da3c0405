from __future__ import annotations

import math

import pytest

from normwise.figures import dots, traces
from normwise.records.metric import ACCURACY, Metric

ROWS = (
    dots.Row("nothing", 0.1, singles=(0.09, 0.11)),
    dots.Row("batch-normalization + relu-he", 0.97, 0.02, (0.96, 0.98), "better"),
    dots.Row("lr*100", math.nan),
)


def test_rows_keep_their_order_and_are_said_with_their_intervals():
    info = dots.info("Accuracy", "accuracy", ROWS, [dots.Level(0.1, "nothing")], percent=True)
    low, high = info.limits
    assert low < 0.09 < 0.98 < high
    said = dots.describe(info)
    assert "nothing: 10.0 %." in said
    assert "batch-normalization + relu-he: 97.0 % ± 2.0 %, helped." in said
    assert "lr*100: no finite value." in said
    labels = [text.get_text() for text in dots.draw(info).axes[0].get_yticklabels()]
    assert labels == ["nothing", "batch-normalization\n+ relu-he", "lr*100"]


def test_amounts_begin_at_zero_unless_they_span_orders_of_magnitude():
    near = dots.info("t", "l", [dots.Row("a", 1.0), dots.Row("b", 30.0)], zero=True)
    assert (near.log, near.limits[0]) == (False, 0.0)
    assert dots.info("t", "l", [dots.Row("a", 0.1), dots.Row("b", 3000.0)], zero=True).log


def test_of_many_rows_the_largest_are_said():
    info = dots.info("Gap", "distance", [dots.Row(f"bn{place}", float(place)) for place in range(50)], zero=True)
    said = dots.describe(info)
    assert "The 5 largest of 50: bn49: 49." in said
    assert "bn10:" not in said


def test_a_trace_averages_neighbors_and_ends_where_it_is_not_finite():
    points = {step: float(step) for step in range(1, 1001)} | {900: math.nan}
    line = traces.trace("seed 0", 0, points)
    assert len(line.steps) <= traces.POINTS
    assert line.steps[-1] == 1000
    assert line.values[0] == pytest.approx(sum(range(1, line.steps[0] + 1)) / line.steps[0])
    assert line.cross.step >= 900 > line.cross.step - line.steps[0]


def test_the_loss_has_room_for_its_level_and_for_every_value_that_is_near():
    line = traces.trace("training", 0, dict(enumerate([1.4, 1.4, 2.3], start=1)))
    info = traces.loss_info([line], "cross-entropy", traces.Level(2.5, "best constant"))
    low, high = info.limits
    assert (info.log, low < 1.4, high > 2.5) == (False, True, True)
    assert "from 1.4 at step 1 to 2.3 at step 3. best constant: 2.5." in traces.describe(info)
    far = traces.trace("training", 0, {1: 2.0, 2: 1e4})
    assert traces.loss_info([far], "loss", None).log


def test_a_metric_has_validation_solid_and_training_dashed():
    lines = [traces.trace("seed 0", 0, {0: 0.1, 40: None}, dashed=dashed) for dashed in (False, True)]
    info = traces.metric_info(lines, ACCURACY, traces.Level(0.1, "chance"))
    assert info.parts == ("validation", "training")
    assert "seed 0: from 10.0 % at step 0 to 10.0 % at step 0, not finite at step 40." in traces.describe(info)
    traces.draw(info).canvas.draw()
    assert traces.metric_info(lines[:1], Metric("r2", "R²"), None).label == "R², higher is better"


def test_a_run_without_a_finite_value_is_drawn():
    info = traces.loss_info([traces.trace("training", 0, {1: math.nan})], "loss", None)
    assert "training: no finite value." in traces.describe(info)
    traces.draw(info).canvas.draw()
