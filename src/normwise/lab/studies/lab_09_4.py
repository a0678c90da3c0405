"""Lab 09-4 of note 000: a small ReLU network with Adam on MNIST, with and without batch normalization, epoch by epoch.

``note_001`` draws the same curves.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from statistics import fmean
from typing import Any

from normwise.figures import lines
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.drawing import drawn, published, spread
from normwise.lab.reproduction.judging import PAIRED, less
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Study, Training, judged
from normwise.records import RunRecord
from normwise.report import Table

EPOCH = 55_000 // 32
"""Steps of an epoch: 5,000 of the 60,000 training images are kept for validation, which the course does not do."""

NETWORK = {"model": "mlp:32x2", "activation": "relu", "optimizer": "adam", "lr": 0.01, "batch_size": 32}
"""The course's: 784-32-32-10, with BN before ReLU."""

ARMS: dict[str, dict[str, Any]] = {"plain": {}, "bn": {"norm": "batch"}}
NAMES = {"plain": "without BN", "bn": "with BN"}


def training(asked: Asked, arms: Mapping[str, Mapping[str, Any]], epochs: int, seeds: int = 3) -> Training:
    """Arms on all training data, measured on the whole of train and test after every epoch."""
    epoch = asked.scale.pick(smoke=8, quick=EPOCH, full=EPOCH)
    options = NETWORK | {"steps": epochs * epoch, "eval_every": epoch}
    smoke = asked.scale.pick(smoke=True, quick=False, full=False)
    whole = () if smoke else ("train", "test")
    return Training(arms, asked.data, asked.seeds or (1 if smoke else seeds), options, whole)


def plan(asked: Asked) -> list[Training]:
    """The two networks of the course; torch's default initial weights, as there."""
    return [training(asked, ARMS, asked.scale.pick(smoke=2, quick=3, full=10))]


def by_epoch(run: RunRecord, part: str, what: str) -> list[float]:
    """Loss or accuracy of a part after each epoch."""
    return [line[part][what] for line in run.metrics if line["step"]]


def mean_by_epoch(outcome: Outcome, arm: str, part: str, what: str) -> list[float]:
    """The same as the mean over the seeds, of as many epochs as every run has."""
    return [fmean(each) for each in zip(*(by_epoch(run, part, what) for run in outcome.runs[arm]), strict=False)]


def recorded(arm: str, part: str, what: str, epochs: int) -> list[float]:
    """What the course's notebook recorded after its first epochs."""
    return [row[f"{arm}_{part}_{what}"] for row in published("lab_09_4")[:epochs]]


def is_lower_at_every_epoch(outcome: Outcome) -> Judged:
    """Whether the mean test loss with BN is lower after every epoch, by more than noise over all of them."""
    bn, plain = (mean_by_epoch(outcome, arm, "test", "loss") for arm in ("bn", "plain"))
    if not bn or not plain:
        return judged(None, "A run diverged before its first epoch was over.")
    lower = [a < b for a, b in zip(bn, plain, strict=False)]
    every = [[fmean(by_epoch(run, "test", "loss")[: len(lower)]) for run in outcome.runs[arm]] for arm in ARMS]
    saved = less(*every)
    return judged(
        saved.positive if all(lower) or saved.positive is False else None,
        f"After {sum(lower)} of {len(lower)} epochs the test loss is lower with BN; after the last it is {bn[-1]:.3f} "
        f"against {plain[-1]:.3f}, mean over the seeds. Without less with, it is {saved.write(1, '', 3)} over all "
        "epochs.",
        bn=bn, plain=plain, interval=saved.interval,
    )  # fmt: skip


def is_what_was_recorded(outcome: Outcome) -> Judged:
    """Whether losses and accuracies on test data are those of the course's table."""
    if not all(mean_by_epoch(outcome, arm, "test", "loss") for arm in ARMS):
        return judged(None, "A run diverged before its first epoch was over.")
    found, said = {}, []
    for arm in ("bn", "plain"):
        ours = {what: mean_by_epoch(outcome, arm, "test", what) for what in ("loss", "accuracy")}
        theirs = {what: recorded(arm, "test", what, len(values)) for what, values in ours.items()}
        apart = fmean(abs(a - b) for a, b in zip(ours["accuracy"], theirs["accuracy"], strict=True))
        ratio = fmean(ours["loss"]) / fmean(theirs["loss"])
        found[arm] = {"accuracy_apart": apart, "loss_ratio": ratio}
        said.append(f"{NAMES[arm]}, accuracy is {100 * apart:.2f} points and mean loss {100 * (ratio - 1):+.0f} % off")
    near = all(each["accuracy_apart"] <= 0.01 and abs(each["loss_ratio"] - 1) <= 0.2 for each in found.values())
    return judged(near, f"{said[0].capitalize().replace('bn', 'BN')}; {said[1].replace('bn', 'BN')}.", **found)


def _rises(outcome: Outcome, arm: str) -> int:
    losses = [by_epoch(run, "train", "loss") for run in outcome.runs[arm]]
    return sum(b > a for each in losses for a, b in pairwise(each))


def is_steadier(outcome: Outcome) -> Judged:
    """Whether the training loss goes up from one epoch to the next less than half as often with BN."""
    from scipy.stats import binomtest

    bn, plain = _rises(outcome, "bn"), _rises(outcome, "plain")
    steps = {sum(len(by_epoch(run, "train", "loss")[1:]) for run in outcome.runs[arm]) for arm in ARMS}
    chance = float(binomtest(bn, bn + plain).pvalue) if bn + plain else 1.0
    decided = chance < 0.05 and len(steps) == 1
    return judged(
        True if decided and 2 * bn < plain else False if decided and bn > plain else None,
        f"From one epoch to the next the training loss rises {bn} times with BN and {plain} times without, in "
        f"{min(steps)} transitions of all seeds together; the chance of so uneven a split is {chance:.2g}.",
        bn=bn, plain=plain, transitions=min(steps), chance=chance,
    )  # fmt: skip


def curves(
    outcome: Outcome, title: str, part: str, what: str, names: Mapping[str, str], *, course: bool = False
) -> lines.Info:
    """One of the course's four figures: a part's loss or accuracy after each epoch, mean over the seeds.

    Args:
        outcome: what came of the study.
        title: the heading.
        part: ``train`` or ``test``.
        what: ``loss`` or ``accuracy``.
        names: what the arms are called.
        course: whether the course's recorded curves are drawn beside.
    """
    ours, theirs = [], []
    for place, (arm, name) in enumerate(names.items()):
        runs = [by_epoch(run, part, what) for run in outcome.runs[arm]]
        columns = list(zip(*runs, strict=False))
        epochs = range(1, len(columns) + 1)
        low, high = [min(each) for each in columns], [max(each) for each in columns]
        ours.append(lines.Line(name, list(epochs), [fmean(each) for each in columns], place, low=low, high=high))
        if course:
            there = recorded(arm, part, what, len(columns))
            theirs.append(lines.Line(f"{name}, course", list(epochs), there, place, "published"))
    y = lines.Axis(f"{'validation (test data)' if part == 'test' else 'training'} {what}", percent=what == "accuracy")
    return lines.info(title, lines.Axis("epoch"), y, [*ours[::-1], *theirs[::-1]])


def figures(outcome: Outcome) -> list[Panel]:
    """The four figures of the notebook, with its recorded curves."""
    draw = partial(curves, outcome, names=NAMES, course=True)
    return [
        drawn("validation-loss", lines, draw("Validation loss", "test", "loss")),
        drawn("training-loss", lines, draw("Training loss", "train", "loss")),
        drawn("validation-accuracy", lines, draw("Validation accuracy", "test", "accuracy")),
        drawn("training-accuracy", lines, draw("Training accuracy", "train", "accuracy")),
    ]


def table(outcome: Outcome) -> Table:
    """Loss and accuracy on test data after each epoch, and what the course recorded."""
    epochs = max(len(by_epoch(run, "test", "loss")) for runs in outcome.runs.values() for run in runs)
    rows = [[f"{epoch + 1}", *_cells(outcome, epoch)] for epoch in range(epochs)]
    said = (
        "Loss (accuracy) on test data after each epoch, mean ± standard deviation over the seeds; the course calls the "
        "test data validation and recorded one seed."
    )
    return Table(said, ["epoch", "with BN", "with BN, course", "without", "without, course"], rows)


def _cells(outcome: Outcome, epoch: int) -> list[str]:
    cells = []
    for arm in ("bn", "plain"):
        loss, accuracy = ([by_epoch(run, "test", what)[epoch] for run in outcome.runs[arm]
                           if epoch < len(by_epoch(run, "test", what))] for what in ("loss", "accuracy"))  # fmt: skip
        there = [recorded(arm, "test", what, epoch + 1)[-1] for what in ("loss", "accuracy")]
        ours = f"{spread(loss, 3)} ({100 * fmean(accuracy):.1f} %)" if accuracy else "\N{EN DASH}"
        cells += [ours, f"{there[0]:.3f} ({100 * there[1]:.0f} %)"]
    return cells


STUDY = Study(
    name="lab-09-4",
    title="Lab 09-4 of the course: the loss with batch normalization and without, epoch by epoch",
    source="PyTorch course, Lab 09-4 (notebook lab-09_6_mnist_batchnorm); note 000",
    notes=("000",),
    claims=(
        Claim(
            "With BN the validation loss (the course takes test data for it) is lower after every epoch.",
            "the mean over the seeds is lower after each epoch, and for the mean over the epochs "
            f"{PAIRED}; the recorded curves are 0.05 to 0.13 apart",
            is_lower_at_every_epoch,
        ),
        Claim(
            "Losses and accuracies are those that the course recorded.",
            "for each network, accuracy within 1 point on average over the epochs, as the course recorded one seed and "
            "wrote whole percents, and the mean loss within 20 %, as we train on 55,000 of its 60,000 images",
            is_what_was_recorded,
        ),
        Claim(
            "Training is steadier with BN.",
            "from epoch to epoch the training loss rises less than half as often, which is ours, and the rises split "
            "so unevenly that chance would do it in fewer than 1 of 20 cases (binomial test, two-sided)",
            is_steadier,
        ),
    ),
    plan=plan,
    figures=figures,
    table=table,
    see="""Compare the two curves after the first epoch and after the last; the rings are what the course's notebook
    recorded. Count how often each goes up from one epoch to the next.""",
    why="""Adam with a learning rate of 0.01 makes large steps for this network, ten times Adam's default. Without BN a
    step that changes the first layer changes the size of what the second one receives, and the loss can jump. With BN
    each layer's inputs are brought back to mean 0 and variance 1 after every step, so that the same rate is less of
    a risk.

    The course compares both networks at this one rate. What each does at its own best rate is another question (see
    learning-rate).""",
    changes="""A smaller learning rate for the plain network; a learning rate that falls; more epochs.""",
    quick_seconds=15,
    full="10 epochs as in the notebook, 3 seeds; 2 minutes",
    data="mnist",
    alternatives=("fashion-mnist",),
)
