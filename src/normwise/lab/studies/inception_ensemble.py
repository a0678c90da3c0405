"""Section 4.2.3 of the paper: an ensemble of six networks with batch normalization."""

from __future__ import annotations

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
from normwise.lab.studies.inception import DATA, DECAY, NETWORKS, PENALTY, RATE
from normwise.records.run import read_predictions
from normwise.report import Table

VARIANTS = {"5 % dropout": "dropout_5", "10 % dropout": "dropout_10"}
EACH = 3
"""Of each variant so many members, each with other initial weights: six in all, as in the paper."""

PUBLISHED = 1 - 20.1 / 21.99
"""Figure 4: the top-1 error of one network with many crops is 21.99 %, and 20.1 % of the ensemble: 8.6 % less."""

Array = np.ndarray[Any, Any]


def plan(asked: Asked) -> list[Training]:
    """Six members of BN-x30, as the study inception has it, with dropout and larger initial weights (He's)."""
    steps = asked.scale.pick(smoke=1, quick=300, full=8000)
    wide = asked.scale.pick(smoke="noise_", quick="", full="everything_")
    options = {
        "steps": steps, "eval_every": -(-steps // 12), "optimizer": "momentum", "init": "he", "lr": 30 * RATE,
        "weight_decay": PENALTY / 5, "schedule": f"exponential:{DECAY ** (6 / steps)!r}", "batch_size": 32,
    }  # fmt: skip
    return [
        Training({name: {"norm": "batch"}}, f"{DATA}:{wide}shuffled", asked.scale.pick(smoke=1, quick=EACH, full=EACH),
                 {"model": f"{NETWORKS}:{factory}", **options})
        for name, factory in VARIANTS.items()
    ]  # fmt: skip


def members(outcome: Outcome) -> tuple[list[Array], Array]:
    """What each member puts out for the test part at its best step, and the classes."""
    kept = [read_predictions(run.directory) for runs in outcome.runs.values() for run in runs]
    there = [each for each in kept if each is not None]
    return [each["outputs"] for each in there], there[0]["targets"]


def accuracies(outcome: Outcome) -> tuple[list[float], list[float]]:
    """The test accuracy of each member, and of the average of the first one, two, … members' probabilities."""
    outputs, targets = members(outcome)

    def accuracy(given: Array) -> float:
        return float((given.argmax(1) == targets).mean())

    together = [accuracy(average("classification", outputs[:count])) for count in range(1, len(outputs) + 1)]
    return [accuracy(each) for each in outputs], together


def beats_every_member(outcome: Outcome) -> Judged:
    """Whether the average of all is better than the best of them."""
    alone, together = accuracies(outcome)
    return judged(
        together[-1] > max(alone),
        f"The average of {len(alone)} members' probabilities has {100 * together[-1]:.1f} % of the test part right; "
        f"the members have {100 * min(alone):.1f} to {100 * max(alone):.1f} %.",
        ensemble=together[-1], members=alone,
    )  # fmt: skip


def lowers_the_error(outcome: Outcome) -> Judged:
    """By which share the error is lower than the members' mean."""
    alone, together = accuracies(outcome)
    share = 1 - (1 - together[-1]) / (1 - fmean(alone)) if fmean(alone) < 1 else 0.0
    return judged(
        share >= PUBLISHED / 2,
        f"The error falls from {100 * (1 - fmean(alone)):.1f} % (mean of the members) to "
        f"{100 * (1 - together[-1]):.1f} %, by {100 * share:.1f} % of itself; in the paper by {100 * PUBLISHED:.1f} %.",
        share=share, published=PUBLISHED,
    )  # fmt: skip


def figures(outcome: Outcome) -> list[Panel]:
    """Members and ensembles."""
    alone, together = accuracies(outcome)
    rows = [dots.Row(f"member {number}", value) for number, value in enumerate(alone, start=1)]
    rows += [dots.Row(f"average of {count}", value) for count, value in enumerate(together, start=1) if count > 1]
    level = dots.Level(fmean(alone), "mean of the members", dotted=True)
    info = dots.info("Members and their average", "test accuracy, higher is better", rows, [level], percent=True)
    return [drawn("accuracy", dots, info)]


def table(outcome: Outcome) -> Table:
    """Each member, and the average of so many."""
    names = [f"{arm}, seed {run.settings['seed']}" for arm, runs in outcome.runs.items() for run in runs]
    rows = [
        [name, f"{100 * one:.1f} %", f"{100 * several:.1f} %"]
        for name, one, several in zip(names, *accuracies(outcome), strict=True)
    ]
    said = "Test accuracy of each member, and of the average of the probabilities of all members down to this row."
    return Table(said, ["member", "alone", "average so far"], rows)


STUDY = Study(
    name="inception-ensemble",
    title="The average of six networks is better than each of them",
    source="Ioffe and Szegedy 2015, section 4.2.3, figure 4",
    claims=(
        Claim(
            "The average of the probabilities of six networks is right more often than the best of them.",
            "a higher test accuracy than every member's",
            beats_every_member,
        ),
        Claim(
            "The ensemble lowers the top-1 error by 8.6 % of itself, from 21.99 to 20.1 %.",
            "at least half of that, compared with the mean of the members",
            lowers_the_error,
        ),
    ),
    plan=plan,
    figures=figures,
    table=table,
    see="""Above the members, each alone; below, averages of two members up to all of them. The first members bring
    most, the later ones less.""",
    why="""Each network is wrong in its own way, since it began with other weights, or had another dropout, and saw
    examples in another order. Where most are right, the average follows them; an error stays only where they agree on
    it. The average of probabilities is never worse in cross-entropy than the members are on average, because the
    logarithm is concave; accuracy has no such guarantee.""",
    changes="""Members that are trained longer agree more, and an average of networks that agree brings nothing. The
    paper averages over 144 crops of each image as well; here each image is seen once. Some of its members normalize
    the last hidden layer per activation, which ours do not.""",
    quick_seconds=45,
    full="all of CIFAR-10, 8,000 steps; about 15 minutes",
    data="cifar10",
)
