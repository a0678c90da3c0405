"""Notes 004 and 003: what normalizing {4, 5, 6} gives, what ε does, and over which axis a batch is normalized."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import Any

import torch

from normwise.figures import lines
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.context import Context
from normwise.lab.reproduction.drawing import drawn
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Measurement, Study, judged
from normwise.nn import BatchNorm1d
from normwise.report import Table

VALUES = (4.0, 5.0, 6.0)
SAID = (-0.01, 0.0, 0.01)
"""What note 004 says that {4, 5, 6} becomes."""

EPSILONS = tuple(10.0**power for power in range(-9, 5))


def normalized(context: Context) -> Mapping[str, Any]:
    """{4, 5, 6} through the layer with its own ε, and with many others."""
    x = torch.tensor(VALUES, device=context.device).reshape(3, 1)
    return {
        "values": BatchNorm1d(1, device=context.device)(x).flatten().tolist(),
        "epsilons": list(EPSILONS),
        "largest": [BatchNorm1d(1, eps=eps, device=context.device)(x)[2].item() for eps in EPSILONS],
    }


def axes(context: Context) -> Mapping[str, Any]:
    """How far a layer's output is from mean 0 and variance 1 over the batch, and over the features of an example."""
    x = 3 + torch.randn(64, 10, device=context.device) * torch.arange(1.0, 11.0, device=context.device)
    y = BatchNorm1d(10, device=context.device)(x).detach()
    return {
        "per_feature": [y.mean(0).abs().max().item(), (y.var(0, unbiased=False) - 1).abs().max().item()],
        "per_example": [y.mean(1).abs().max().item(), (y.var(1, unbiased=False) - 1).abs().max().item()],
    }


def plan(_: Asked) -> list[Measurement]:
    """Both measurements; they take no time."""
    return [Measurement("normalized", normalized), Measurement("axes", axes)]


def gives_the_standard_scores(outcome: Outcome) -> Judged:
    """Whether the layer gives (x − 5)/√(2/3 + ε)."""
    found = outcome.measured["normalized"][0]["values"]
    right = [(value - 5) / sqrt(2 / 3 + 1e-5) for value in VALUES]
    said = ", ".join(f"{value:.4f}" for value in found)
    off = max(abs(a - b) for a, b in zip(found, right, strict=True))
    return judged(
        off < 1e-5,
        f"The layer makes {{{said}}} of {{4, 5, 6}}, within {off:.1g} of (x − 5)/√(2/3 + ε).",
        values=found, expected=right,
    )  # fmt: skip


def is_what_the_note_says(outcome: Outcome) -> Judged:
    """Whether note 004's {−0.01, 0, 0.01} comes out for the ε that it names, or for any."""
    found = outcome.measured["normalized"][0]
    needed = (1 / SAID[2]) ** 2 - 2 / 3
    return judged(
        abs(found["values"][2] - SAID[2]) < 0.01,
        f"The largest value is {found['values'][2]:.4f}, not 0.01. It takes ε ≈ {needed:,.0f} to get 0.01; the note "
        "says 10e-7 (which is 10⁻⁶).",
        largest=found["values"][2], epsilon_for_the_note=needed,
    )  # fmt: skip


def is_over_the_batch(outcome: Outcome) -> Judged:
    """Whether mean 0 and variance 1 hold for each feature over the batch, and not for each example."""
    found = outcome.measured["axes"][0]
    feature, example = found["per_feature"], found["per_example"]
    return judged(
        max(feature) < 1e-3 and min(example) > 0.05,
        f"Over the batch, each feature's mean is within {feature[0]:.1g} of 0 and its variance within {feature[1]:.1g} "
        f"of 1; over the features of one example the mean is up to {example[0]:.2f} and the variance up to "
        f"{example[1]:.2f} off.",
        per_feature=feature, per_example=example,
    )  # fmt: skip


def figures(outcome: Outcome) -> list[Panel]:
    """What 6 becomes, over ε."""
    found = outcome.measured["normalized"][0]
    line = lines.Line("what 6 becomes", found["epsilons"], found["largest"], 1)
    levels = [lines.Level(1 / sqrt(2 / 3), "1.2247"), lines.Level(SAID[2], "note 004: 0.01")]
    x, y = lines.Axis("ε", log=True), lines.Axis("normalized value of 6 in {4, 5, 6}")
    return [
        drawn("epsilon", lines, lines.info("{4, 5, 6} normalized, over ε", x, y, [lines.Frame("", [line], levels)]))
    ]


def table(outcome: Outcome) -> Table:
    """The values beside those of the note."""
    found = outcome.measured["normalized"][0]["values"]
    rows = [[f"{value:g}", f"{got:.4f}", f"{said:g}"] for value, got, said in zip(VALUES, found, SAID, strict=True)]
    return Table(
        "Each value of the batch, what the layer makes of it, and what note 004 says.",
        ["x", "normalized", "note 004"],
        rows,
    )


STUDY = Study(
    name="example-of-the-notes",
    title="Normalizing {4, 5, 6} gives {−1.22, 0, 1.22}, over the batch, whatever small ε is",
    source="notes 003 and 004; Ioffe and Szegedy 2015, Algorithm 1",
    notes=("000", "002", "003", "004"),
    claims=(
        Claim(
            "{4, 5, 6} becomes {−1.22, 0, 1.22}.",
            "within 10⁻⁵, the rounding of float32, of the formula in float64",
            gives_the_standard_scores,
        ),
        Claim("{4, 5, 6} becomes {−0.01, 0, 0.01}, as note 004 has it.", "within 0.01", is_what_the_note_says),
        Claim(
            "A batch is normalized over its examples, one feature at a time, and not over the features of an example.",
            "mean 0 and variance 1 within 10⁻³ (ε and rounding) for each feature; more than 0.05 off for some example",
            is_over_the_batch,
        ),
    ),
    plan=plan,
    figures=figures,
    table=table,
    see="""The line is flat at 1.2247 for every ε that anybody uses. It falls only where ε is of the size of the
    variance, 2/3, and reaches the note's 0.01 where ε is about 10,000.""",
    why="""The mean of {4, 5, 6} is 5 and the variance over the batch is ((−1)² + 0² + 1²)/3 = 2/3, so that 4 becomes
    −1/√(2/3) = −1.2247. A normalized batch always has standard deviation 1; {−0.01, 0, 0.01} has 0.008. ε is there so
    that a constant feature does not divide by zero.

    Note 003 asks whether normalization runs within one example, as a course had it, or over the same position of all
    examples, as the paper has it. The paper's is right for batch normalization; within one example is layer
    normalization.""",
    changes="""An ε of the size of the variance: a feature whose variance is below 10⁻⁵ does not get variance 1.""",
    quick_seconds=3,
    full="the same",
)
