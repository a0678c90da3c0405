"""Figure 1 (a): test accuracy of the paper's MNIST network over 50,000 steps, with and without batch normalization."""

from __future__ import annotations

from functools import partial
from math import sqrt
from statistics import fmean, median
from typing import Any

import numpy as np

from normwise.figures import lines
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.curves import at, curve, line
from normwise.lab.reproduction.drawing import drawn, published, spread
from normwise.lab.reproduction.judging import PAIRED, less
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Study, Training, judged
from normwise.records import RunRecord
from normwise.report import Table

PAPER: dict[str, Any] = {"model": "mlp:100x3", "activation": "sigmoid", "batch_size": 60, "inputs": "binary"}
"""What section 4.1 states: three hidden layers of 100 sigmoid units, 60 examples a step, binary images."""

OURS: dict[str, Any] = {"lr": 0.2, "init": "normal:0.04"}
"""What it does not: rate and initial weights. Of a grid, this one setting is near both of the paper's curves."""

ARMS = {"plain": OURS, "bn": OURS | {"norm": "batch"}}

CHOICES = {
    f"plain, rate {lr}, {name}": {"lr": lr, "init": init}
    for lr in (0.5, 1.0)
    for name, init in (("std 0.1", "normal:0.1"), ("Xavier", "xavier"))
}
"""Larger rates and weights for the plain network, from which validation data choose; ours."""

CURVES = {"plain": "fig1a_withoutBN", "bn": "fig1a_withBN"}
BORDERS = {"plain": 0.04, "bn": 0.01}
EARLY, LATE = 4000, 15_000
"""The steps at which the published curves have about the same accuracy, 0.953, with and without."""

LEAD = 0.01
"""Less than this at step ``EARLY``, three times what seeds differ by, is no lead that could be made up."""


def plan(asked: Asked) -> list[Training]:
    """Both networks of the figure, and the plain one with other rates and initial weights."""
    steps = asked.scale.pick(smoke=40, quick=15_000, full=50_000)
    options = PAPER | {"steps": steps, "eval_every": min(500, steps)}
    seeds = asked.seeds or asked.scale.pick(smoke=1, quick=3, full=3)
    others = min(seeds, asked.scale.pick(smoke=1, quick=1, full=3))
    whole = asked.scale.pick(smoke=(), quick=("test",), full=("test",))
    return [Training(ARMS, asked.data, seeds, options, whole), Training(CHOICES, asked.data, others, options, whole)]


def middle(outcome: Outcome, arm: str, step: int) -> float:
    """The median test accuracy over the seeds at a step."""
    return median(at(run, step, "test") for run in outcome.runs[arm])


def last_step(outcome: Outcome) -> int:
    """The step at which the shortest run of the figure ended."""
    return min(int(run.metrics[-1]["step"]) for arm in ARMS for run in outcome.runs[arm])


def distance(run: RunRecord, name: str) -> float | None:
    """The root mean square distance from a published curve, over its points that the run came to; None for none."""
    steps, values = curve(run, "test")
    points = [(row["step"], row["test_accuracy"]) for row in published(name) if row["step"] <= steps[-1]]
    if not points:
        return None
    there, theirs = np.array(points).T
    return float(np.sqrt(np.mean((np.interp(there, steps, values) - theirs) ** 2)))


def is_near(outcome: Outcome, arm: str) -> Judged:
    """Whether the curve is the published one.

    The border is for the whole curve: one that is passed over a part, whose rest could still make up, is open.
    """
    found = [apart for run in outcome.runs[arm] if (apart := distance(run, CURVES[arm])) is not None]
    if not found:
        return judged(None, "The published curve begins after the last step of these runs.")
    apart, seeds, last = median(found), ", ".join(f"{100 * each:.2f}" for each in found), last_step(outcome)
    steps = [row["step"] for row in published(CURVES[arm])]
    share = sum(step <= last for step in steps) / len(steps)
    border, least = BORDERS[arm], apart * sqrt(share)
    words = f"RMS distance {100 * apart:.2f} points (median of {seeds}) over the published points up to step {last:,}."
    if least <= border < apart:
        words += f" These are {100 * share:.0f} % of the curve; with a perfect rest it would be {100 * least:.2f}."
    return judged(
        True if apart <= border else None if least <= border else False,
        words,
        distance=apart, by_seed=found, last_step=last, share=share,
    )  # fmt: skip


def is_ahead_by_a_factor(outcome: Outcome) -> Judged:
    """Whether BN after 4,000 steps is where the plain network is after 15,000."""
    if last_step(outcome) < LATE:
        return judged(None, f"The runs end before step {LATE:,}.")
    bn, plain = middle(outcome, "bn", EARLY), middle(outcome, "plain", LATE)
    first = (next((step for step, value in zip(*curve(run, "test"), strict=True) if value >= bn), "never")
             for run in outcome.runs["plain"])  # fmt: skip
    when = ", ".join(step if isinstance(step, str) else f"{step:,}" for step in first)
    return judged(
        abs(bn - plain) <= 0.01,
        f"{100 * bn:.1f} % with BN after {EARLY:,} steps, {100 * plain:.1f} % without after {LATE:,} (medians). The "
        f"plain networks first reach {100 * bn:.1f} % at step {when}.",
        bn=bn, plain=plain, plain_reaches=when,
    )  # fmt: skip


def ends_higher(outcome: Outcome) -> Judged:
    """Whether the accuracy at the last step that all runs have is higher with BN."""
    last = last_step(outcome)
    bn, plain = ([at(run, last, "test") for run in outcome.runs[arm]] for arm in ("bn", "plain"))
    gain = less(bn, plain)
    return judged(
        gain.positive if last else None,
        f"At step {last:,} test accuracy is {spread(bn, 2, percent=True)} with BN and {spread(plain, 2, percent=True)} "
        f"without, {gain}; the paper ends at 98.2 % and 97.2 % after 50,000.",
        bn=bn, plain=plain, step=last, interval=gain.interval,
    )  # fmt: skip


def chosen(outcome: Outcome) -> str:
    """The plain network's rate and initial weights with the best validation accuracy."""
    found = {arm: outcome.at_best(arm, "validation") for arm in CHOICES}
    return max(found, key=lambda arm: fmean(found[arm] or [0.0]))


def depends_on_the_setting(outcome: Outcome) -> Judged:
    """Whether a better setting of the plain network takes away half of BN's early lead."""
    best, step = chosen(outcome), min(EARLY, last_step(outcome))
    bn, plain, tuned = (middle(outcome, arm, step) for arm in ("bn", "plain", best))
    return judged(
        None if step < EARLY or bn - plain < LEAD else bn - tuned < (bn - plain) / 2,
        f"At step {step:,}: BN {100 * bn:.1f} %, plain {100 * plain:.1f} %, and {100 * tuned:.1f} % for {best}, which "
        f"validation data chose. It ends at {100 * middle(outcome, best, last_step(outcome)):.1f} %.",
        bn=bn, plain=plain, tuned=tuned, chosen=best, step=step,
    )  # fmt: skip


def _published(arm: str, name: str, place: int, last: int) -> lines.Line:
    rows = [row for row in published(CURVES[arm]) if row["step"] <= last] or published(CURVES[arm])[:1]
    return lines.Line(name, [row["step"] for row in rows], [row["test_accuracy"] for row in rows], place, "published")


def figures(outcome: Outcome) -> list[Panel]:
    """Our curves beside the published ones, and the plain network with a better setting."""
    last, best = last_step(outcome), chosen(outcome)
    ours = [line(outcome.runs[arm], name, place, "test")
            for arm, name, place in (("bn", "with BN", 1), ("plain", "without", 0))]  # fmt: skip
    theirs = [_published("bn", "with BN, paper", 1, last), _published("plain", "without, paper", 0, last)]
    x = lines.Axis("training step", limits=(0, max(1, last)))
    y = lines.Axis("test accuracy", percent=True, limits=(0.7, 1.0))
    tuned = line(outcome.runs[best], f"without: {best.removeprefix('plain, ')}", 2, "test", look="dashed")
    main = lines.info("Test accuracy, ours and figure 1 (a)", x, y, [*ours, *theirs])
    caveat = lines.info("Without BN, other rate and weights", x, y, [*ours, tuned])
    said = "Our two curves, and the plain network with the rate and initial weights that validation data chose."
    return [drawn("accuracy", lines, main), drawn("chosen", lines, caveat, said)]


def table(outcome: Outcome) -> Table:
    """Test accuracy at some steps, beside the published curves."""
    last = last_step(outcome)
    steps = [step for step in (1000, 4000, 8000, 15_000, 20_000, 30_000, 50_000) if step <= last] or [last]
    rows = []
    for arm, runs in outcome.runs.items():
        rows.append([arm, *(spread([at(run, step, "test") for run in runs], percent=True) for step in steps)])
        if arm in CURVES:
            rows.append([f"{arm}, paper", *(_read(CURVES[arm], step) for step in steps)])
    said = (
        "Test accuracy by step, mean ± standard deviation over the seeds; the paper's digitized from its figure 1 (a)."
    )
    return Table(said, ["network", *(f"{step:,}" for step in steps)], rows)


def _read(name: str, step: int) -> str:
    steps, values = ([row[key] for row in published(name)] for key in ("step", "test_accuracy"))
    inside = steps[0] - 100 <= step <= steps[-1]
    return f"{100 * np.interp(step, steps, values):.1f} %" if inside else "\N{EN DASH}"


STUDY = Study(
    name="figure-1a",
    title="With batch normalization, 4,000 steps do what 15,000 do without",
    source="Ioffe and Szegedy 2015, section 4.1, figure 1 (a)",
    notes=("000", "001", "003", "004"),
    claims=(
        Claim(
            "With BN, test accuracy follows the published curve.",
            "the median RMS distance over the seeds is at most 1 point: the curve rises by 3 points in all, and seeds "
            "differ by about 0.3",
            partial(is_near, arm="bn"),
        ),
        Claim(
            "Without BN, it follows the published curve, with the same rate and initial weights.",
            "at most 4 points: the paper states neither rate nor initial weights, on which the steep beginning "
            "depends; the best of the settings that we tried for both curves was 3.5 points off. Undecided where a run "
            "ends before the curve, is past the border, and the rest could make up for it",
            partial(is_near, arm="plain"),
        ),
        Claim(
            "After 4,000 steps the network with BN is where the plain one is after 15,000.",
            "median accuracies within 1 point of each other: the published plain curve gains 2.7 points from 10,000 to "
            "15,000 steps and 1.0 from there to 20,000, so that a point is about a third of the steps",
            is_ahead_by_a_factor,
        ),
        Claim(
            "With BN the network ends at a higher accuracy.",
            f"{PAIRED}; at the last step that all runs have",
            ends_higher,
        ),
        Claim(
            "The lead depends on the small rate and the small weights: a plain network with a rate and initial weights "
            "chosen by validation data makes up more than half of it at 4,000 steps. (Our caveat, not the paper's.)",
            "the difference in median accuracy at 4,000 steps is less than half of that in the figure; undecided where "
            "that is below a point, since seeds differ by about 0.3",
            depends_on_the_setting,
        ),
    ),
    plan=plan,
    figures=figures,
    table=table,
    see="""Blue is with BN, orange without; the rings are the paper's curves, and the axis begins at 70 % as there.
    Go from blue at 4,000 steps to the right until you meet orange: so many more steps it takes.""",
    why="""The weights begin so small that the third layer's inputs hardly differ from image to image, and a sigmoid
    passes at most a quarter of a gradient on. The plain network spends its first thousands of steps on growing its
    weights until the layers carry a signal. BN divides every layer's input by its own standard deviation, so that the
    signal has size 1 from the first step, however small the weights are.

    The paper does not say its learning rate or initial weights. The second picture has the plain network with a larger
    rate and larger weights, which validation data chose: as far as it leaves the beginning sooner, what BN buys here is
    not to have to find them.""",
    changes="""A larger learning rate or larger initial weights without BN (second picture), or ReLU.""",
    quick_seconds=60,
    full="50,000 steps as published, 3 seeds; 8 minutes",
    data="mnist",
)
