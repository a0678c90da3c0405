"""The confusion matrix and predicted against true values."""

from __future__ import annotations

import numpy as np
import pytest

from normwise.figures import agreement, confusion, svg
from normwise.records.metric import Metric
from synthetic import record
from synthetic_page import with_outputs

R2 = Metric("r2", "R²")


def logits(*predicted: int, classes: int = 3) -> np.ndarray:
    return np.eye(classes, dtype=np.float32)[list(predicted)]


def test_the_matrix_counts_the_runs_together(tmp_path):
    runs = [
        with_outputs(record(steps=0), tmp_path, logits(0, 1, 1), np.array([0, 1, 2])),
        with_outputs(record(seed=1, steps=0), tmp_path, logits(0, 0, 2), np.array([0, 1, 2])),
        record(seed=2, steps=0),
    ]
    info = confusion.info(runs, ["cat", "dog", "eel"])
    assert info.counts == ((2, 0, 0), (1, 1, 0), (0, 1, 1))
    assert (info.runs, info.classes) == (2, ("cat", "dog", "eel"))
    assert confusion.describe(info) == (
        "Confusion matrix of plain, 2 runs together: 4 of 6 right. "
        "Most often mistaken: dog for cat (50.0 %), eel for dog (50.0 %)."
    )
    texts = [text.get_text() for text in confusion.draw(info).axes[0].texts]
    assert texts == ["100 %", "50 %", "50 %", "50 %", "50 %"]


def test_a_mask_per_pixel_leaves_out_what_is_ignored(tmp_path):
    outputs = np.moveaxis(logits(0, 1, 1, 2).reshape(1, 2, 2, 3), -1, 1)
    run = with_outputs(record(steps=0), tmp_path, outputs, np.array([[[0, 1], [-100, 2]]]))
    assert confusion.info([run]).counts == ((1, 0, 0), (0, 1, 0), (0, 0, 1))


def test_a_binary_task_has_four_cells(tmp_path):
    run = with_outputs(record(steps=0), tmp_path, np.float32([-2, 3, 1, -1]), np.float32([0, 1, 0, 1]))
    run.settings["task"] = "binary"
    assert confusion.info([run]).counts == ((1, 1), (1, 1))


@pytest.mark.parametrize("classes", [2, 20, 21])
def test_many_classes_are_an_image(tmp_path, classes):
    y = np.arange(classes)
    run = with_outputs(record(steps=0), tmp_path, logits(*y, classes=classes), y)
    axes = confusion.draw(confusion.info([run], [f"a long name {label}" for label in y])).axes[0]
    assert len(axes.images) == (classes == 21)
    assert len(axes.get_xticklabels()) == (0 if classes == 21 else classes)
    assert len(svg(axes.figure, "a")) < 50_000


def test_runs_that_kept_no_outputs_have_no_figure():
    assert confusion.info([record(steps=0)]) is None
    assert agreement.info([record(steps=0)]) is None


def test_pairs_of_all_runs_and_an_outlier_at_the_edge(tmp_path):
    true = np.linspace(0, 10, 50, dtype=np.float32)
    wild = true.copy()
    wild[0] = 1e6
    runs = [with_outputs(record(seed=n, steps=0, metric=R2), tmp_path, o, true) for n, o in enumerate((true + 1, wild))]
    info = agreement.info(runs)
    (target,) = info.shown
    assert len(target.true) == 100
    assert target.limits[1] < 30
    said = agreement.describe(info)
    assert "2 runs together" in said
    assert "1 predictions lie beyond the axis" in said
    points = agreement.draw(info).axes[0].lines[1]
    assert max(points.get_ydata()) == target.limits[1]


def test_many_pairs_are_cells_and_several_targets_have_axes_of_their_own(tmp_path):
    true = np.random.default_rng(0).normal(size=(30_000, 6)).astype(np.float32)
    info = agreement.info([with_outputs(record(steps=0, metric=R2), tmp_path, true, true)])
    assert "The first 4 of 6 targets. target 1: 15,000 of 30,000 pairs" in agreement.describe(info)
    figure = agreement.draw(info)
    assert [len(axes.images) for axes in figure.axes] == [1] * 4
    assert 'href="data:image/png' in svg(figure, "a")


def test_a_constant_target_is_drawn(tmp_path):
    ones = np.ones(5, dtype=np.float32)
    info = agreement.info([with_outputs(record(steps=0, metric=R2), tmp_path, ones, ones)])
    assert info.shown[0].limits == pytest.approx((0.46, 1.54))
    agreement.draw(info).canvas.draw()


@pytest.mark.parametrize("shape", [(4,), (4, 3, 2), (3, 3)])
def test_outputs_that_do_not_fit_the_targets_have_no_figure(tmp_path, shape):
    outputs = np.zeros(shape, dtype=np.float32)
    assert confusion.info([with_outputs(record(steps=0), tmp_path, outputs, np.zeros(4, dtype=np.int64))]) is None
    run = with_outputs(record(steps=0, metric=R2), tmp_path, outputs, np.zeros((4, 5), dtype=np.float32))
    assert agreement.info([run]) is None


def test_predictions_that_are_not_finite_are_left_out(tmp_path):
    true = np.linspace(0, 1, 700, dtype=np.float32)
    wild = np.where(true > 0.5, np.nan, true + 1)
    info = agreement.info([with_outputs(record(steps=0, metric=R2), tmp_path, wild, true)])
    assert "mean absolute error 1." in agreement.describe(info)
    agreement.draw(info).canvas.draw()
