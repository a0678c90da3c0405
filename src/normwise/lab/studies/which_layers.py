"""Note 002: batch normalization may be put into chosen layers only. Which ones does a deep network need?"""

from __future__ import annotations

import math
from statistics import fmean

from normwise.figures import dots, lines
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.curves import line
from normwise.lab.reproduction.drawing import drawn, spread
from normwise.lab.reproduction.judging import PAIRED, difference, every, less, unanimous
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Study, Training, judged
from normwise.records import RunRecord
from normwise.report import Table

LAYERS = {"none": "", "all": "all", "first": "first", "last": "last", "every second": "every:2"}
"""What is normalized, by name: the value of the key ``layers``."""

NETWORKS = {"ReLU": {"activation": "relu", "init": "he"}, "sigmoid": {"activation": "sigmoid", "init": "xavier"}}
"""Twelve hidden layers of 100 units, each kind with the initialization that is made for it. The sizes are ours."""

THIRDS = (1 / 2, 5 / 6)
"""About two thirds: two thirds and a sixth to either side."""


def plan(asked: Asked) -> list[Training]:
    """Both networks with each choice of layers; ReLU networks at several learning rates, to have each at its best."""
    steps = asked.scale.pick(smoke=4, quick=400, full=3000)
    seeds = asked.seeds or asked.scale.pick(smoke=1, quick=3, full=5)
    many = (0.01, 0.03, 0.1, 0.3, 1.0)
    rates = {
        "ReLU": asked.scale.pick(smoke=(0.1,), quick=(0.03, 0.1, 0.3), full=many),
        "sigmoid": asked.scale.pick(smoke=(0.1,), quick=(0.1,), full=many),
    }
    chosen = {name: {"norm": "batch", "layers": layers} if layers else {} for name, layers in LAYERS.items()}
    return [
        Training(
            {f"{network}, {name}": keys for name, keys in chosen.items()},
            asked.data, seeds, {"model": "mlp:100x12", "steps": steps, "lr": rates[network], **options},
        )
        for network, options in NETWORKS.items()
    ]  # fmt: skip


def at_best_rate(outcome: Outcome, arm: str) -> list[RunRecord]:
    """The runs of an arm at the learning rate with the best mean validation accuracy."""
    by_rate: dict[float, list[RunRecord]] = {}
    for run in outcome.runs[arm]:
        by_rate.setdefault(run.settings["lr"], []).append(run)
    return max(by_rate.values(), key=lambda runs: fmean(_accuracy(run, "validation") for run in runs))


def _accuracy(run: RunRecord, part: str) -> float:
    return run.best[part][run.metric.name] if run.best is not None else 0.0


def tests(outcome: Outcome, network: str, layers: str) -> list[float]:
    """The test accuracy of each seed at the arm's best learning rate."""
    return [_accuracy(run, "test") for run in at_best_rate(outcome, f"{network}, {layers}")]


def every_second_is_enough(outcome: Outcome) -> Judged:
    """Whether the sigmoid network learns nothing without, and learns with, normalization in every second layer."""
    none, half = tests(outcome, "sigmoid", "none"), tests(outcome, "sigmoid", "every second")
    return judged(
        unanimous([a < 0.2 and b > 0.8 for a, b in zip(none, half, strict=True)]),
        f"The test accuracy of the sigmoid network is {spread(none, percent=True)} without normalization and "
        f"{spread(half, percent=True)} with it in layers 2, 4, …, 12.",
        none=none, every_second=half,
    )  # fmt: skip


def last_brings_two_thirds(outcome: Outcome) -> Judged:
    """Which share of what all layers bring the last one brings, in the ReLU network."""
    none, last, whole = (tests(outcome, "ReLU", layers) for layers in ("none", "last", "all"))
    gain, part = less(whole, none), less(last, none)
    inside = [
        difference([side * (c - a - border * (b - a)) for a, b, c in zip(none, whole, last, strict=True)]).positive
        for side, border in ((1, THIRDS[0]), (-1, THIRDS[1]))
    ]
    share = part.mean / gain.mean if gain.mean else math.nan
    return judged(
        every(inside) if gain.positive else None,
        f"All layers bring the ReLU network {gain} of test accuracy, each at its best learning rate, and the last "
        f"layer alone {part}: a share of {share:.2f}.",
        none=none, last=last, all=whole, share=share, gain_interval=gain.interval, last_interval=part.interval,
    )  # fmt: skip


def figures(outcome: Outcome) -> list[Panel]:
    """The test accuracy for each choice; and the validation accuracy over the steps."""
    rows = [
        dots.Row(f"{network}: {layers}", fmean(values), singles=tuple(values))
        for network in NETWORKS
        for layers in ("none", "first", "last", "every second", "all")
        for values in [tests(outcome, network, layers)]
    ]
    said = "test accuracy, higher is better"
    main = dots.info("Normalized layers of twelve", said, rows, [dots.Level(0.1, "guessing", dotted=True)],
                     percent=True, small="one seed", large="mean of the seeds")  # fmt: skip
    frames = [
        lines.Frame(
            network,
            [line(at_best_rate(outcome, f"{network}, {layers}"), layers, place) for place, layers in enumerate(LAYERS)],
        )
        for network in NETWORKS
    ]  # fmt: skip
    x, y = lines.Axis("training step"), lines.Axis("validation accuracy, higher is better", percent=True)
    curves = lines.info("How fast they learn", x, y, frames)
    return [
        drawn("accuracy", dots, main),
        drawn("curves", lines, curves, "Each at its best learning rate: medians over the seeds, bands their range."),
    ]


def table(outcome: Outcome) -> Table:
    """Each network and choice at its best learning rate."""
    rows = []
    for arm in outcome.runs:
        runs = at_best_rate(outcome, arm)
        scores = [[_accuracy(run, part) for run in runs] for part in ("test", "validation")]
        rows.append([arm, f"{runs[0].settings['lr']:g}", *(spread(each, percent=True) for each in scores)])
    said = "Twelve hidden layers of 100 units; mean ± standard deviation over the seeds at the best learning rate."
    return Table(said, ["network, normalized layers", "learning rate", "test", "validation"], rows)


STUDY = Study(
    name="which-layers",
    title="Does a deep network need normalization in all of its layers?",
    source="note 002; Bjorck et al. 2018, as quoted by others",
    notes=("002",),
    claims=(
        Claim(
            "Batch normalization can be put into chosen layers: with every second one, a sigmoid network of twelve "
            "hidden layers learns that learns nothing without.",
            "test accuracy below 20 % (guessing has about 10 %) without and above 80 % (ours: most are recognized) "
            "with, in every seed; seeds that disagree decide nothing",
            every_second_is_enough,
        ),
        Claim(
            "Batch normalization in the last layer alone brings about two thirds of what it brings in all layers.",
            "the share of the gain in test accuracy lies between one half and five sixths (ours: two thirds and a "
            "sixth to either side) with its 95 % interval (Student's t, paired by seed), each network at its best "
            f"learning rate; beyond either border it does not hold; undecided unless of the whole gain {PAIRED}",
            last_brings_two_thirds,
        ),
    ),
    plan=plan,
    figures=figures,
    table=table,
    see="""Five choices of layers for two networks. In the sigmoid network, which choices leave the accuracy at
    guessing, and which come close to all? Where the ReLU network learns without normalization, look at how much of the
    way from none to all a single layer goes.""",
    why="""A layer multiplies what tells two examples apart by some factor. A sigmoid has a slope of at most ¼, so
    that twelve layers shrink the differences to about 4⁻¹² ≈ 10⁻⁷ of what they were, and the gradient on its way back
    likewise. A normalization divides by the standard deviation of the batch and so brings the differences back to
    size 1, if they have not sunk below √ε ≈ 0.003 yet. After two layers, a sixteenth, they have not; after twelve they
    have, so that the last layer alone should come too late, and after the first alone eleven layers shrink what it has
    made.

    ReLU with He's initialization keeps sizes, so that signals arrive without normalization. Bjorck et al. explain the
    gain of the last layer by its gradients: without normalization those of the output layer are large and alike for
    all examples, which limits the learning rate. That the last layer brings two thirds is a number for a residual
    network of 110 layers, and we have it from others who quote the paper.""",
    changes="""Depth: with three layers a sigmoid network learns without any normalization. Note 002 normalizes after
    the activation (the key place; see the study of that name). A residual network keeps signals alive along its
    shortcuts, whichever layers are normalized.""",
    quick_seconds=50,
    full="3,000 steps, five learning rates, 5 seeds; about 40 minutes",
    data="mnist",
    alternatives=("fashion-mnist", "digits"),
)
