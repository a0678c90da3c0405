from __future__ import annotations

import math

import pytest

from normwise.figures import gradients
from synthetic import record, study


def test_info_has_the_mean_norm_of_every_layer_input_side_first():
    runs = study(["plain"], seeds=3, layers=2, steps=200)
    info = gradients.info(runs)
    assert info.layers == ("linear1", "linear2", "linear3")
    values = [run.metrics[-1]["gradients"][1]["norm"] for run in runs]
    assert info.norms[1].mean[-1] == pytest.approx(sum(values) / 3, rel=1e-12)  # summed in another order
    assert info.norms[0].mean[0] < info.norms[2].mean[0]


def test_a_null_is_a_gap_and_zero_does_not_break_the_logarithm():
    run = record(steps=300)
    run.metrics[1]["gradients"][0]["norm"] = None
    run.metrics[2]["gradients"][0]["norm"] = 0.0
    info = gradients.info([run])
    assert math.isnan(info.norms[0].mean[1])
    assert info.limits[0] > 0
    gradients.draw(info).canvas.draw()


def test_a_layer_without_gradient_is_drawn_at_the_foot_with_a_mark_and_said():
    run = record(steps=400)
    for line in run.metrics[2:]:
        line["gradients"][0]["norm"] = 0.0
    run.metrics[1]["gradients"][1]["norm"] = 1e-20
    info = gradients.info([run])
    assert info.limits[0] > 1e-13
    axes = gradients.draw(info).axes[0]
    foot = [line for line in axes.lines if line.get_marker() == "v"]
    assert [[*line.get_xdata()] for line in foot] == [[200], [100]]  # where each of the two lines reaches the foot
    assert [*axes.lines[0].get_ydata()][2:] == [info.limits[0]] * 3
    said = gradients.describe(info)
    assert "linear1 is exactly 0 at 3 of 5 evaluations." in said
    assert "linear2 is below" in said


def test_one_spike_does_not_flatten_the_rest():
    run = record(steps=2000)
    run.metrics[7]["gradients"][0]["norm"] = 1e20
    assert gradients.info([run]).limits[1] < 1e4


def test_numbered_layers_are_called_layers():
    run = record(steps=100)
    for line in run.metrics:
        line["gradients"][0]["layer"] = "4"
    assert gradients.info([run]).layers[0] == "layer 4"


def test_shared_limits_hold_those_of_each_arm():
    infos = [gradients.info([run]) for run in study(seeds=1)]
    low, high = gradients.shared_limits(infos)
    assert all(low <= info.limits[0] and info.limits[1] <= high for info in infos)
    assert gradients.info([record()], (0.1, 1.0)).limits == (0.1, 1.0)


def test_describe_says_the_norms_of_the_outer_layers():
    run = record(steps=100, layers=1)
    for line, (first, last) in zip(run.metrics, [(0.01, 0.3), (0.002, 0.04)], strict=True):
        line["gradients"][0]["norm"], line["gradients"][1]["norm"] = first, last
    assert gradients.describe(gradients.info([run])) == (
        "Gradient norm of each of 2 layers of plain over training, on a logarithmic scale. "
        "Input side (linear1): 0.01 at step 0, 0.002 at step 100; "
        "output side (linear2): 0.3 at step 0, 0.04 at step 100."
    )


def test_no_layer_and_no_value():
    run = record(steps=0)
    run.metrics.clear()
    assert gradients.describe(gradients.info([run])).endswith("No finite value.")
    gradients.draw(gradients.info([run])).canvas.draw()


def test_lines_are_the_means_over_seeds():
    info = gradients.info(study(["plain"], seeds=3, layers=2, steps=300))
    lines = gradients.draw(info).axes[0].lines
    assert [[*line.get_ydata()] for line in lines] == [[*norm.mean] for norm in info.norms]


def test_every_layer_is_drawn_and_few_are_in_the_key():
    figure = gradients.draw(gradients.info([record(layers=20)]))
    assert len(figure.axes[0].lines) == 21
    assert figure.axes[0].get_yscale() == "log"
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(labels) <= gradients.IN_KEY
    assert {"linear1", "linear21"} <= set(labels)
