"""How the gradient changes on its way back through a network, and what a remedy does to it and to learning."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from statistics import fmean, median
from typing import Any

import torch
from torch import Tensor, nn

from normwise.figures import lines
from normwise.lab import networks
from normwise.lab.batch import Batch
from normwise.lab.panels import Panel
from normwise.lab.reproduction.context import Context
from normwise.lab.reproduction.drawing import drawn, spread
from normwise.lab.reproduction.judging import every, unanimous
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Judged, judged
from normwise.lab.settings import Settings
from normwise.report import Table

EXAMPLES = 256
"""Training examples of the mini-batch whose gradient is measured."""

LEARNS = 0.5
"""The validation accuracy from which on a network has learned something; guessing among ten classes has 0.1."""

RELIEVED = 1.0
"""Powers of ten by which a remedy must bring the ratio of the gradients closer to 1; seeds differ by far less."""

DASH = "\N{EN DASH}"


def gradients(context: Context, arms: Mapping[str, Mapping[str, Any]], model: str) -> Mapping[str, Any]:
    """By arm and hidden layer: the norm of the gradient of the loss by what the layer puts out, before training.

    The networks are those that the lab trains with the same seed, in float64 so that no gradient becomes zero.
    """
    X, y = context.tensors("train", flat=True)
    X, y = X[:EXAMPLES], y[:EXAMPLES]
    found = {}
    for place, (arm, keys) in enumerate(arms.items()):
        torch.manual_seed(context.seed)
        settings = Settings(model=model, seed=context.seed, outputs=10, **keys)
        network = networks.build(settings, Batch((X,), {}, y, len(y))).network.to(context.device).double()
        found[arm] = backward(network, X.double(), y)
        context.progress((place + 1) / len(arms))
    return found


def backward(network: nn.Module, X: Tensor, y: Tensor) -> list[float]:
    """The norms of the gradient by the outputs of the modules ``activation1``, ``activation2`` and so on."""
    outputs: list[Tensor] = []

    def keep(module: nn.Module, args: Any, output: Tensor) -> None:
        output.retain_grad()
        outputs.append(output)

    activations = [module for name, module in network.named_children() if name.startswith("activation")]
    with ExitStack() as stack:
        for module in activations:
            stack.callback(module.register_forward_hook(keep).remove)
        nn.functional.cross_entropy(network(X), y).backward()  # type: ignore[no-untyped-call]
    return [output.grad.norm().item() for output in outputs if output.grad is not None]


def ratios(outcome: Outcome, arm: str) -> list[float]:
    """By seed, the gradient at the first hidden layer's output over that at the last one's."""
    return [each[arm][0] / each[arm][-1] for each in outcome.measured["gradients"]]


def accuracies(outcome: Outcome, arm: str) -> list[float]:
    """By seed, the validation accuracy at the end; 0 of a run that diverged, or whose outputs are not finite."""
    return [
        0.0 if (run.done or {}).get("status") == "diverged" else run.metrics[-1]["validation"]["accuracy"] or 0.0
        for run in outcome.runs[arm]
    ]


def learns(outcome: Outcome, arm: str) -> bool | None:
    """Whether every run of an arm has learned something; None where some have."""
    return unanimous([accuracy > LEARNS for accuracy in accuracies(outcome, arm)])


def relieves(outcome: Outcome, arm: str, without: str) -> Judged:
    """Whether a remedy brings the ratio closer to 1 and makes the network learn."""
    before, after = ratios(outcome, without), ratios(outcome, arm)
    gained = [abs(math.log10(a)) - abs(math.log10(b)) >= RELIEVED for a, b in zip(before, after, strict=True)]
    return judged(
        every((unanimous(gained), learns(outcome, arm))),
        f"First over last layer, the gradient is {median(after):.1e} ({arm}) instead of {median(before):.1e} "
        f"({without}). {_learning(outcome, arm, without)}",
        ratio=after, ratio_without=before,
        accuracy=accuracies(outcome, arm), accuracy_without=accuracies(outcome, without),
    )  # fmt: skip


def makes_it_learn(outcome: Outcome, arm: str, without: str) -> Judged:
    """Whether a network learns with a remedy and not without."""
    return judged(
        every((learns(outcome, arm), _opposite(learns(outcome, without)))),
        _learning(outcome, arm, without),
        accuracy=accuracies(outcome, arm), accuracy_without=accuracies(outcome, without),
    )  # fmt: skip


def _opposite(value: bool | None) -> bool | None:
    return None if value is None else not value


def _learning(outcome: Outcome, arm: str, without: str) -> str:
    after, before = (fmean(accuracies(outcome, each)) for each in (arm, without))
    return f"Validation accuracy at the end: {100 * after:.1f} % ({arm}), {100 * before:.1f} % ({without})."


def by_layer(outcome: Outcome, arms: Mapping[str, int], name: str, title: str) -> Panel:
    """The gradient over the layers, before training, of arms by their place; the first seed's."""
    found = outcome.measured["gradients"][0]
    drawn_lines = [
        lines.Line(arm, range(1, len(found[arm]) + 1), found[arm], place, "solid" if place < 2 else "dashed")
        for arm, place in arms.items()
    ]
    x, y = lines.Axis("hidden layer, from the input"), lines.Axis("gradient norm, before training", log=True)
    return drawn(name, lines, lines.info(title, x, y, drawn_lines))


GRID = {
    "small: N(0, 0.01²)": {"sigmoid": "normal:0.01", "tanh": "normal:0.01", "relu": "normal:0.01"},
    "1/√n; ReLU: √(2/n)": {"sigmoid": "lecun", "tanh": "lecun", "relu": "he"},
    "large: N(0, 0.3²)": {"sigmoid": "normal:0.3", "tanh": "normal:0.3", "relu": "normal:0.3"},
}
"""Initial weights by activation; the values are ours: a tenth of 1/√n for n = 100 inputs, 1/√n, and three times it."""


LEAST = 1e-12
"""The smallest gradient, relative to that of the last layer, that is drawn."""


def grid_arms() -> dict[str, dict[str, str]]:
    """Networks of each activation with each initialization of ``GRID``."""
    return {
        f"{activation}, {init}": {"activation": activation, "init": init}
        for inits in GRID.values()
        for activation, init in inits.items()
    }


def grid(outcome: Outcome) -> Panel:
    """The gradient over the layers in units of the last one's, by activation and initialization."""
    found = outcome.measured["grid"][0]
    names = {"sigmoid": "sigmoid", "tanh": "tanh", "relu": "ReLU"}
    frames = [
        lines.Frame(
            frame,
            [
                lines.Line(names[activation], range(1, len(norms) + 1), _relative(norms), place)
                for place, (activation, init) in zip((0, 2, 4), inits.items(), strict=True)
                for norms in [found[f"{activation}, {init}"]]
            ],
        )
        for frame, inits in GRID.items()
    ]
    x = lines.Axis("hidden layer, from the input")
    y = lines.Axis("gradient norm over that of the last layer", log=True, limits=(LEAST, 1e8))
    said = """Before training, for three sizes of the initial weights. A line that falls toward the left vanishes, and
    may leave the frame at the bottom; one that rises explodes."""
    info = lines.info("What reaches the first layers", x, y, frames, columns=3)
    return drawn("grid", lines, info, " ".join(said.split()))


def _relative(norms: Sequence[float]) -> list[float]:
    """In units of the last, nan below what is drawn."""
    return [each / norms[-1] if each / norms[-1] >= LEAST else math.nan for each in norms]


def learning_curves(outcome: Outcome, arms: Mapping[str, int]) -> Panel:
    """Validation accuracy over the steps, the mean over the seeds, of arms by their place."""
    drawn_lines = []
    for arm, place in arms.items():
        by_step: dict[int, list[float]] = {}
        for run in outcome.runs[arm]:
            for line in run.metrics:
                by_step.setdefault(line["step"], []).append(line["validation"]["accuracy"] or 0.0)
        means = [fmean(values) for values in by_step.values()]
        drawn_lines.append(lines.Line(arm, list(by_step), means, place, "solid" if place < 2 else "dashed"))
    x = lines.Axis("training step")
    y = lines.Axis("validation accuracy, mean over the seeds", percent=True, limits=(0, 1))
    return drawn("learning", lines, lines.info("Which of them learn", x, y, drawn_lines))


def remedies_table(outcome: Outcome) -> Table:
    """A row per arm: the ratio of the gradients before training, and the accuracy at the end."""
    rows = []
    for arm in outcome.runs:
        measured = arm in (outcome.measured["gradients"] or [{}])[0]
        ratio = f"{median(ratios(outcome, arm)):.1e}" if measured else DASH
        said = spread(accuracies(outcome, arm), percent=True)
        rows.append([arm, ratio, said, f"{outcome.diverged(arm)} of {len(outcome.runs[arm])}"])
    return Table(
        "Ratio: gradient at the first hidden layer over that at the last, before training, median over the seeds; "
        "a dash where the remedy does not change it. "
        "Accuracy: on validation examples at the end, mean ± standard deviation, a diverged run counting as 0.",
        ["arm", "ratio", "accuracy", "diverged"],
        rows,
    )
