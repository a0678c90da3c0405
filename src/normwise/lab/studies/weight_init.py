"""Note 004: the initial weights decide whether a ReLU network trains."""

from __future__ import annotations

from math import log
from statistics import fmean

from normwise.figures import lines
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.curves import curve
from normwise.lab.reproduction.drawing import accuracy_table, drawn
from normwise.lab.reproduction.judging import PAIRED, less
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Study, Training, judged

ARMS = {"std 0.01": "normal:0.01", "Xavier": "xavier", "He": "he"}

CHANCE = log(10)
"""The cross-entropy of a network that says the same of ten classes."""


def plan(asked: Asked) -> list[Training]:
    """Four hidden layers of 100 ReLU units, as in the code behind the note."""
    steps = asked.scale.pick(smoke=30, quick=2000, full=2000)
    options = {"model": "mlp:100x4", "activation": "relu", "lr": 0.01, "batch_size": 128, "steps": steps}
    arms = {name: {"init": init} for name, init in ARMS.items()}
    return [Training(arms, asked.data, asked.seeds or asked.scale.pick(smoke=1, quick=3, full=5), options)]


def last_losses(outcome: Outcome, arm: str) -> list[float]:
    """The training loss of each run at its end."""
    return [curve(run, "train", "loss").values[-1] for run in outcome.runs[arm]]


def stays_at_chance(outcome: Outcome) -> Judged:
    """Whether small normal weights learn nothing; a run that diverged does not say."""
    losses = last_losses(outcome, "std 0.01")
    return judged(
        None if outcome.diverged("std 0.01") else min(losses) > 0.9 * CHANCE,
        f"After all steps the training loss is {fmean(losses):.3f} with weights from N(0, 0.01²); guessing has "
        f"{CHANCE:.3f}.",
        loss=losses, chance=CHANCE,
    )  # fmt: skip


def he_is_first(outcome: Outcome) -> Judged:
    """Whether He's weights end lower than Xavier's."""
    he, xavier = last_losses(outcome, "He"), last_losses(outcome, "Xavier")
    saved = less(xavier, he)
    return judged(
        None if outcome.diverged("He") or outcome.diverged("Xavier") else saved.positive,
        f"The training loss ends at {fmean(he):.3f} with He's weights and at {fmean(xavier):.3f} with Xavier's; the "
        f"difference is {saved.write(1, '', 3)}.",
        he=he, xavier=xavier, interval=saved.interval,
    )  # fmt: skip


def figures(outcome: Outcome) -> list[Panel]:
    """The training loss over the steps."""
    drawn_lines = [
        lines.Line(arm, *curve(run, "train", "loss"), place)
        for place, arm in enumerate(ARMS)
        for run in outcome.runs[arm]
    ]
    x, y = lines.Axis("training step"), lines.Axis("training loss, lower is better", limits=(0, 1.1 * CHANCE))
    levels = [lines.Level(CHANCE, "guessing")]
    return [drawn("loss", lines, lines.info("Training loss", x, y, [lines.Frame("", drawn_lines, levels)]))]


STUDY = Study(
    name="weight-init",
    title="The initial weights decide whether a deep ReLU network learns",
    source="Deep Learning from Scratch, chapter 6.2; He et al. 2015",
    notes=("000", "004"),
    claims=(
        Claim(
            "With weights from N(0, 0.01²) a network of four hidden ReLU layers learns nothing in 2,000 steps.",
            "the training loss stays above nine tenths of what guessing has, ln 10, in every run",
            stays_at_chance,
        ),
        Claim(
            "With ReLU, He's initialization learns faster than Xavier's.",
            f"the training loss at the end is lower: {PAIRED}",
            he_is_first,
        ),
    ),
    plan=plan,
    figures=figures,
    table=accuracy_table,
    see="""The dotted line at ln 10 ≈ 2.3 is guessing: a network whose curve stays there has learned nothing. Compare
    when the three curves leave it, and where they end.""",
    why="""A layer multiplies the size of what it receives by about σ·√(n/2), where σ is the standard deviation of its
    weights, n the number of its inputs and the factor ½ is the half that ReLU sets to zero. With n = 100 and σ = 0.01
    that is 0.07 for each layer: after four layers a signal has shrunk to 1/40,000, and so has the gradient on its way
    back.

    He's σ = √(2/n) makes the factor 1, Xavier's σ = √(1/n) makes it 0.7, which four layers still stand.""",
    changes="""Batch normalization divides the size out again (see init-sweep). More layers
    make Xavier's factor of 0.7 matter; a larger learning rate, or Adam, brings small weights off the plateau
    sooner.""",
    quick_seconds=25,
    full="the same with 5 seeds; 1 minute",
    data="mnist",
    alternatives=("fashion-mnist", "digits"),
)
