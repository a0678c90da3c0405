"""What the figures of a report show, in words that fit the study."""

from __future__ import annotations

from collections.abc import Sequence

from normwise.figures.curves import FEW
from normwise.figures.series import by_arm, number
from normwise.records import RunRecord

TRAINING, PREACTIVATIONS, GRADIENTS, ACTIVATIONS = "Training", "Pre-activations", "Gradients", "Activations"
CONFUSION, AGREEMENT = "Confusion", "Predictions"


def caption(group: str, runs: Sequence[RunRecord], examples: int | None) -> str:
    """What to see in a group of figures.

    Args:
        group: its heading.
        runs: those that are drawn.
        examples: how many training examples there are; None where that is not known.
    """
    arms = by_arm(runs)
    seeds = any(len(members) > 1 for members in arms.values())
    sentences = {
        TRAINING: _training(runs, examples, seeds),
        PREACTIVATIONS: _preactivations(runs, len(arms)),
        GRADIENTS: [
            "Norm of the loss gradient with respect to each layer's weights. Layers far apart learn at different "
            "speeds. A triangle at the foot marks a gradient that is 0, or too small for the axis."
        ],
        ACTIVATIONS: [
            f"What each hidden layer puts out before the first and after the last step{', first seed' * seeds}."
        ],
        CONFUSION: [
            f"{_at_best(seeds)}: of the examples of the class on the left, the share in percent that was taken for the "
            "class below."
        ],
        AGREEMENT: [
            f"{_at_best(seeds)}: predicted against true values, in the target's own unit. On the line both are equal."
        ],
    }
    return " ".join(sentences[group])


def shares_saturated(runs: Sequence[RunRecord]) -> list[float]:
    """The share of saturated units of the last hidden nonlinearity at each evaluation that has one."""
    found = [item["saturated"] for run in runs for line in run.metrics for item in line["preactivations"][-1:]]
    return [number(share) for share in found if share is not None]


def _at_best(seeds: bool) -> str:
    return f"Test data at the step of the best validation metric{', all seeds together' * seeds}"


def _training(runs: Sequence[RunRecord], examples: int | None, seeds: bool) -> list[str]:
    sizes = runs[0].settings.get("samples") or {}
    on = "on fixed samples of the data"
    if sizes:
        train = min(sizes["train"], examples or sizes["train"])
        on = f"on up to {sizes['test']:,} test and {train:,} training examples, the same ones every time"
    said = f"Test solid, training dashed, {on}"
    said += "; mean over the seeds, and the range from least to greatest." if seeds else "."
    best = f"A ring marks the best step{' of each run' * seeds}, by the {runs[0].metric.label} on "
    best += f"up to {sizes['validation']:,} validation examples." if sizes else "a sample of the validation data."
    rings = any(run.best for run in runs)
    return [said, *[best] * rings, "A triangle at the edge marks where values lie beyond the axis."]


def _preactivations(runs: Sequence[RunRecord], arms: int) -> list[str]:
    said = [
        "What the last hidden layer's nonlinearity receives: 15th, 50th and 85th percentile over units and examples."
    ]
    if arms > FEW:
        said.append("Where all arms are in one figure it shows medians, and the percentiles of the arm pointed at.")
    said.append("Figure 1 (b, c) of Ioffe and Szegedy 2015 shows the same of a single unit.")
    shares = shares_saturated(runs)
    if shares and not any(shares):
        return [*said, "No unit was saturated, so saturated shares have no figure."]
    return [*said, "Saturated units let hardly any gradient through."] if shares else said
