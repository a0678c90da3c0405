from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from normwise.figures import scales


@pytest.mark.parametrize(("value", "text"), [(1e-5, "10⁻⁵"), (2e-5, "2·10⁻⁵"), (1e12, "10¹²"), (1.0, "10⁰")])
def test_powers_of_ten(value, text):
    assert scales.power_of_ten(value) == text


@pytest.mark.parametrize(
    ("limits", "labels"),
    [((0.005, 2.0), ["0.01", "0.1", "1"]), ((0.3, 2.2), ["0.5", "1", "2"]), ((1e-7, 0.5), ["10⁻⁷", "10⁻⁴", "10⁻¹"])],
)
def test_a_logarithmic_axis_has_a_few_plain_ticks(limits, labels):
    axes = Figure().add_subplot()
    scales.log_axis(axes, limits)
    axes.figure.canvas.draw()
    low, high = limits
    seen = [
        tick.get_text() for at, tick in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True) if low <= at <= high
    ]
    assert set(labels) <= set(seen)
    assert len(seen) <= 8


def test_steps_have_thousands_and_no_fractions():
    axes = Figure().add_subplot()
    scales.steps_axis(axes)
    axes.set_xlim(0, 10_000)
    axes.figure.canvas.draw()
    assert [tick.get_text() for tick in axes.get_xticklabels()][:2] == ["0", "2,000"]
    axes.set_xlim(0, 2)
    axes.figure.canvas.draw()
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "1", "2"]
