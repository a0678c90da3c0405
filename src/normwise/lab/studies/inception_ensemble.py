"""Section 4.2.3 of the paper: an ensemble of six networks with batch normalization."""

from __future__ import annotations

import math
from statistics import fmean
from typing import Any

import numpy as np

from normwise.figures import dots
from normwise.lab.ensemble import average
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.drawing import drawn
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Study, Training, judged
from normwise.lab.studies.shared.small_inception import DATA, DECAY, NETWORKS, PENALTY, RATE
from normwise.records.run import read_predictions
from normwise.report import Table

VARIANTS = {
    "5 % dropout": ("dropout_5", "default"),
    "5 % dropout, larger weights": ("dropout_5", "he"),
    "10 % dropout, larger weights": ("dropout_10", "he"),
}
"""Dropout and initial weights, which the paper varies, too; He's are √6 times as large as torch's own."""

EACH = 2
"""Members of each variant, with seeds of their own: six in all, as in the paper."""

PUBLISHED = 1 - 20.1 / 21.99
"""Figure 4: the top-1 error of one network with many crops is 21.99 %, and 20.1 % of the ensemble: 8.6 % less."""

LEVEL = 0.05
"""Of McNemar's exact test over the test images: both answer the same ones."""

Array = np.ndarray[Any, Any]
NONE: Array = np.zeros(1, dtype=bool)


def plan(asked: Asked) -> list[Training]:
    """Six members of BN-x30, as the study inception has it, with dropout and two sizes of initial weights."""
    steps = asked.scale.pick(smoke=1, quick=240, full=8000)
    wide = asked.scale.pick(smoke="noise_", quick="", full="everything_")
    options = {
        "steps": steps, "eval_every": -(-steps // 12), "optimizer": "momentum", "lr": 30 * RATE,
        "weight_decay": PENALTY / 5, "schedule": f"exponential:{DECAY ** (6 / steps)!r}", "batch_size": 32,
    }  # fmt: skip
    seeds = asked.seeds or asked.scale.pick(smoke=1, quick=EACH, full=EACH)
    return [
        Training(
            {name: {"norm": "batch", "init": init}},
            f"{DATA}:{wide}shuffled",
            seeds,
            {"model": f"{NETWORKS}:{factory}", **options},
        )
        for name, (factory, init) in VARIANTS.items()
    ]


def members(outcome: Outcome) -> tuple[list[Array], Array]:
    """What each member puts out for the test part at its best step, and the classes."""
    kept = [read_predictions(run.directory) for runs in outcome.runs.values() for run in runs]
    there = [each for each in kept if each is not None]
    return [each["outputs"] for each in there], there[0]["targets"] if there else NONE


def rights(outcome: Outcome) -> tuple[list[Array], list[Array]]:
    """Which test images each member gets right, and the average of the first one, two, … members' probabilities."""
    outputs, targets = members(outcome)
    together = [average("classification", outputs[:count]) for count in range(1, len(outputs) + 1)]
    alone, several = ([each.argmax(1) == targets for each in given] for given in (outputs, together))
    return alone, several


def accuracies(outcome: Outcome) -> tuple[list[float], list[float]]:
    """The test accuracy of each member, and of the average of the first one, two, … members' probabilities."""
    alone, together = ([float(each.mean()) for each in given] for given in rights(outcome))
    return alone, together


def beats_every_member(outcome: Outcome) -> Judged:
    """Whether the average of all is better than the best of them, beyond chance in the choice of test images."""
    from scipy.stats import binomtest

    every, together = rights(outcome)
    best, whole = max(every, key=lambda each: each.sum(), default=NONE), together[-1] if together else NONE
    gained, lost = int((whole & ~best).sum()), int((best & ~whole).sum())
    p = float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    alone = [float(each.mean()) for each in every]
    return judged(
        None if p >= LEVEL else gained > lost,
        f"The average of {len(alone)} members' probabilities has {_percent(whole)} of the test part right; the best "
        f"member {_percent(best)}. The average is right on {gained:,} images on which that member is wrong, and wrong "
        f"on {lost:,} on which it is right (p = {p:.2g}).",
        members=alone, gained=gained, lost=lost, p=p,
    )  # fmt: skip


def lowers_the_error(outcome: Outcome) -> Judged:
    """By which share the error is lower than the members' mean."""
    every, together = rights(outcome)
    wrong = 1 - np.mean(every, axis=0) if every else np.ones(1)
    left = (1.0 - together[-1]) if together else np.ones(1)
    # The share is at least PUBLISHED / 2 where this, an average over images, is at least 0.
    spare = (1 - PUBLISHED / 2) * wrong - left
    margin = 1.96 * float(spare.std(ddof=1)) / len(spare) ** 0.5 if len(spare) > 1 else math.inf
    share = 1 - float(left.mean() / wrong.mean()) if wrong.mean() else 0.0
    mean = float(spare.mean())
    return judged(
        None if abs(mean) <= margin else mean > 0,
        f"The error falls from {100 * wrong.mean():.1f} % (mean of the members) to {100 * left.mean():.1f} %, by "
        f"{100 * share:.1f} % of itself; in the paper by {100 * PUBLISHED:.1f} %.",
        share=share, published=PUBLISHED, spare=mean, margin=margin if math.isfinite(margin) else None,
    )  # fmt: skip


def _percent(right: Array) -> str:
    return f"{100 * right.mean():.1f} %"


def figures(outcome: Outcome) -> list[Panel]:
    """Members and ensembles."""
    alone, together = accuracies(outcome)
    rows = [dots.Row(f"member {number}", value) for number, value in enumerate(alone, start=1)]
    rows += [dots.Row(f"average of {count}", value) for count, value in enumerate(together, start=1) if count > 1]
    levels = [dots.Level(fmean(alone), "mean of the members", dotted=True)] if alone else []
    info = dots.info("Members and their average", "test accuracy, higher is better", rows, levels, percent=True)
    return [drawn("accuracy", dots, info)]


def table(outcome: Outcome) -> Table:
    """Each member, and the average of so many."""
    names = [
        f"{arm}, seed {run.settings['seed']}"
        for arm, runs in outcome.runs.items()
        for run in runs
        if read_predictions(run.directory) is not None
    ]
    rows = [
        [name, f"{100 * one:.1f} %", f"{100 * several:.1f} %"]
        for name, one, several in zip(names, *accuracies(outcome), strict=True)
    ]
    said = "Test accuracy of each member, and of the average of the probabilities of all members down to this row."
    return Table(said, ["member", "alone", "average so far"], rows)


STUDY = Study(
    name="inception-ensemble",
    title="Is the average of six networks better than each of them?",
    source="Ioffe and Szegedy 2015, section 4.2.3, figure 4",
    notes=("003",),
    claims=(
        Claim(
            "The average of the probabilities of six networks is right more often than the best of them.",
            "McNemar's exact test of the images on which only one of the average and the best member is right: p below "
            "0.05; undecided otherwise. It speaks of other images, not of other ensembles: there is one",
            beats_every_member,
        ),
        Claim(
            "The ensemble lowers the top-1 error by 8.6 % of itself, from 21.99 to 20.1 %.",
            "at least half of that (ours), compared with the mean of the members, with the 95 % interval over the test "
            "images; an interval below refutes it",
            lowers_the_error,
        ),
    ),
    plan=plan,
    figures=figures,
    table=table,
    see="""Above the members, each alone; below, averages of two members up to all of them. Is each average better
    than the one above it, and by how much less with every further member?""",
    why="""Each network is wrong in its own way, since it began with other weights, or had another dropout, and saw
    examples in another order. Where most are right, the average follows them; an error stays only where they agree on
    it. The average of probabilities is never worse in cross-entropy than the members are on average, because the
    logarithm is concave; accuracy has no such guarantee.""",
    changes="""Members that are trained longer agree more, and an average of networks that agree brings nothing. The
    paper averages over 144 crops of each image as well; here each image is seen once. Some of its members normalize
    the last hidden layer per activation, which ours do not.""",
    quick_seconds=25,
    full="all of CIFAR-10, 8,000 steps; about 15 minutes",
    data="cifar10",
)
