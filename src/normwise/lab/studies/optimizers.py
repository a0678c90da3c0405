"""Note 004: SGD, momentum, AdaGrad and Adam on MNIST, and their paths on x²/20 + y²."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from math import nan
from statistics import fmean
from typing import Any

import torch

from normwise.figures import lines
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.context import Context
from normwise.lab.reproduction.curves import Curve
from normwise.lab.reproduction.drawing import drawn, spread
from normwise.lab.reproduction.judging import PAIRED, less
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Measurement, Study, Training, Trial, judged
from normwise.report import Table

ARMS: dict[str, dict[str, Any]] = {
    "SGD": {"optimizer": "sgd", "lr": 0.01},
    "momentum": {"optimizer": "momentum", "lr": 0.01, "momentum": 0.9},
    "AdaGrad": {"optimizer": "adagrad", "lr": 0.01},
    "Adam": {"optimizer": "adam", "lr": 0.001},
}
"""The rates of the book's optimizer_compare_mnist.py."""

PATHS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "SGD": partial(torch.optim.SGD, lr=0.95),
    "momentum": partial(torch.optim.SGD, lr=0.1, momentum=0.9),
    "AdaGrad": partial(torch.optim.Adagrad, lr=1.5),
    "Adam": partial(torch.optim.Adam, lr=0.3),
}
"""Those of its optimizer_compare_naive.py."""

START, STEPS = (-7.0, 2.0), 30


def paths(context: Context) -> Mapping[str, Any]:
    """The points (x, y) of each optimizer on x²/20 + y², from (−7, 2)."""
    found = {}
    for name, optimizer in PATHS.items():
        at = torch.nn.Parameter(torch.tensor(START, device=context.device))
        steps, points = optimizer([at]), [at.tolist()]
        for _ in range(STEPS):
            steps.zero_grad()
            (at[0] ** 2 / 20 + at[1] ** 2).backward()  # type: ignore[no-untyped-call]
            steps.step()
            points.append(at.tolist())
        found[name] = points
    return found


def plan(asked: Asked) -> list[Trial]:
    """Four hidden layers of 100 ReLU units with He's weights, as in the book."""
    steps = asked.scale.pick(smoke=30, quick=2000, full=2000)
    seeds = asked.seeds or asked.scale.pick(smoke=1, quick=3, full=10)
    options = {"model": "mlp:100x4", "activation": "relu", "init": "he", "batch_size": 128, "steps": steps}
    return [Training(ARMS, asked.data, seeds, options), Measurement("paths", paths)]


def curves(outcome: Outcome, arm: str) -> list[Curve]:
    """By seed, the steps and the mean loss of the batches since the measurement before; nan where it is not finite."""
    return [
        Curve([line["step"] for line in run.metrics[1:]],
              [nan if line["batch_loss"] is None else line["batch_loss"] for line in run.metrics[1:]])
        for run in outcome.runs[arm]
    ]  # fmt: skip


def last_losses(outcome: Outcome, arm: str) -> list[float]:
    """By seed, the mean over the last tenth of the measurements: one batch's loss is noisy; nan for a run of none."""
    return [fmean(losses[-max(1, len(losses) // 10) :] or [nan]) for _, losses in curves(outcome, arm)]


def turns(points: Sequence[Sequence[float]]) -> int:
    """How often a path crosses the valley's floor, y = 0."""
    return sum(a[1] * b[1] < 0 for a, b in pairwise(points))


def length(points: Sequence[Sequence[float]]) -> float:
    """Of a path."""
    return sum(math.dist(a, b) for a, b in pairwise(points))


def sgd_zigzags(outcome: Outcome) -> Judged:
    """Whether SGD crosses the valley at nearly every step, and oftener than the others."""
    found = {name: turns(points) for name, points in outcome.measured["paths"][0].items()}
    said = ", ".join(f"{count} ({name})" for name, count in found.items())
    others = max(count for name, count in found.items() if name != "SGD")
    return judged(
        found["SGD"] > STEPS / 2 and found["SGD"] > others,
        f"Crossings of the valley's floor in {STEPS} steps: {said}.",
        crossings=found, length={name: length(points) for name, points in outcome.measured["paths"][0].items()},
    )  # fmt: skip


def is_lower_than_sgd(outcome: Outcome, arm: str) -> Judged:
    """Whether the loss ends lower than SGD's."""
    sgd, other = last_losses(outcome, "SGD"), last_losses(outcome, arm)
    saved = less(sgd, other)
    return judged(
        None if outcome.diverged("SGD") or outcome.diverged(arm) else saved.positive,
        f"The training loss ends at {fmean(other):.3f} with {arm} and at {fmean(sgd):.3f} with SGD; the difference is "
        f"{saved.write(1, '', 3)}.",
        sgd=sgd, other=other, interval=saved.interval,
    )  # fmt: skip


LEVELS = (0.5, 1.5, 3.0, 5.0)
"""Values of x²/20 + y² whose ellipses are drawn."""


def _ellipse(value: float) -> lines.Line:
    turn = [2 * math.pi * step / 120 for step in range(121)]
    x, y = math.sqrt(20 * value), math.sqrt(value)
    return lines.Line("x²/20 + y² constant", [x * math.cos(t) for t in turn], [y * math.sin(t) for t in turn], 6,
                      "dotted")  # fmt: skip


def figures(outcome: Outcome) -> list[Panel]:
    """The training loss on MNIST, and the paths in the valley."""
    ours = []
    for place, arm in enumerate(ARMS):
        runs = curves(outcome, arm)
        means = [fmean(each) for each in zip(*(losses for _, losses in runs), strict=False)]
        ours.append(lines.Line(arm, runs[0].steps[: len(means)], means, place))
    x, y = lines.Axis("training step"), lines.Axis("training loss, mean over batches and seeds", log=True)
    loss = lines.info("Training loss by optimizer", x, y, ours)
    frames = [
        lines.Frame(
            name,
            [
                *(_ellipse(value) for value in LEVELS),
                lines.Line("path", [point[0] for point in points], [point[1] for point in points], place),
            ],
        )
        for place, (name, points) in enumerate(outcome.measured["paths"][0].items())
    ]
    valley = lines.info("Thirty steps on x²/20 + y²", lines.Axis("x"), lines.Axis("y"), frames)
    said = "From (−7, 2) to the minimum at (0, 0); the learning rates are the book's: 0.95, 0.1, 1.5 and 0.3."
    return [drawn("loss", lines, loss), drawn("paths", lines, valley, said)]


def table(outcome: Outcome) -> Table:
    """A row per optimizer: MNIST, and the valley."""
    rows = []
    for arm in ARMS:
        points = outcome.measured["paths"][0][arm]
        away = math.hypot(*points[-1])
        rows.append([arm, spread(last_losses(outcome, arm), 3), spread(outcome.test(arm), percent=True),
                     str(turns(points)), f"{length(points):.1f}", f"{away:.2f}"])  # fmt: skip
    said = (
        "Training loss at the end and test accuracy, mean ± standard deviation over the seeds; in the valley: "
        "crossings of its floor, the length of the path and the distance from the minimum after 30 steps."
    )
    return Table(said, ["", "training loss", "test", "crossings", "length", "distance"], rows)


LOWER = f"the mean training loss over the last tenth of the steps is lower: {PAIRED}"

STUDY = Study(
    name="optimizers",
    title="SGD, momentum, AdaGrad and Adam: the loss that each reaches in as many steps",
    source="Deep Learning from Scratch, chapter 6.1; note 004",
    notes=("004",),
    claims=(
        Claim(
            "On x²/20 + y², SGD zigzags.",
            "it crosses the valley's floor in more than half of its steps, and oftener than each of the others",
            sgd_zigzags,
        ),
        Claim(
            "Momentum reaches a lower training loss on MNIST than SGD in 2,000 steps.", LOWER,
            partial(is_lower_than_sgd, arm="momentum"),
        ),
        Claim("AdaGrad does.", LOWER, partial(is_lower_than_sgd, arm="AdaGrad")),
        Claim("Adam does.", LOWER, partial(is_lower_than_sgd, arm="Adam")),
    ),
    plan=plan,
    figures=figures,
    table=table,
    see="""Compare the line of SGD with the other three: the lower loss in as many steps is better. In the picture of
    the paths, look at how often each crosses the valley, y = 0, on its way along it.""",
    why="""The slope of x²/20 + y² is 2y across the valley and only x/10 along it. SGD moves by the slope times one
    rate for both. With 0.95 each step multiplies y by 1 − 0.95·2 = −0.9, which is the zigzag, and x by
    1 − 0.095 = 0.905; a larger rate for more speed along the valley would make y grow.

    Momentum adds up steps in the same direction: with 0.9 a constant slope moves ten times as far as with plain SGD
    at the same rate. AdaGrad and Adam divide each coordinate's slope by the size of its own slopes so far, so that x
    and y move at similar speed.""",
    changes="""The learning rates. The book's are not tuned for each: SGD at 0.1 moves as far in a step as momentum
    0.9 at 0.01, where slopes stay the same. More steps. Batch normalization, with which SGD stands larger rates
    (see learning-rate).""",
    quick_seconds=25,
    full="the same with 10 seeds; 1 minute",
    data="mnist",
    alternatives=("fashion-mnist", "digits"),
)  # fmt: skip
