"""Note 004: dropout against overfitting, on 300 images."""

from __future__ import annotations

from normwise.figures import lines
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.drawing import drawn, spread
from normwise.lab.reproduction.judging import PAIRED
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Measurement, Study
from normwise.lab.studies.shared import overfitting as of
from normwise.lab.studies.shared.few_images import fit
from normwise.report import Table

NONE, NOTE, TORCH = "no dropout", "dropout, the note's code", "dropout, torch's"

ARMS = {NONE: {}, NOTE: {"dropout": 0.2, "form": "note"}, TORCH: {"dropout": 0.2, "form": "torch"}}
"""0.2 is the book's (overfit_dropout.py)."""

PUBLISHED, TIMES = 301, 5
"""The book's epochs, and how many times as long we go on (ours)."""


def plan(asked: Asked) -> list[Measurement]:
    """300 images, learning rate 0.01, as in the book; a measurement for each arm and seed."""
    at = asked.scale.pick(
        smoke=[0, 20],
        quick=of.epochs(PUBLISHED, TIMES, early=20, late=86),
        full=of.epochs(PUBLISHED, TIMES, early=5, late=20),
    )
    seeds = asked.seeds or asked.scale.pick(smoke=1, quick=5, full=20)
    settings = {"images": 300, "at": at, "lr": 0.01}
    return [
        Measurement(arm, fit, settings | keys, seed, asked.data) for seed in range(seeds) for arm, keys in ARMS.items()
    ]


def overfits_without(outcome: Outcome) -> Judged:
    """Whether it overfits without dropout."""
    return of.overfits(outcome, NONE, PUBLISHED)


def shrinks_the_gap(outcome: Outcome) -> Judged:
    """Whether dropout brings training and test accuracy nearer."""
    return of.shrinks_the_gap(outcome, NONE, NOTE, PUBLISHED)


def stays_below_all(outcome: Outcome) -> Judged:
    """Whether training accuracy stays below 100 % in the book's time."""
    return of.stays_below_all(outcome, NOTE, PUBLISHED)


def has_better_test(outcome: Outcome) -> Judged:
    """Whether test accuracy is higher after the book's time."""
    return of.has_better_test(outcome, NONE, NOTE, PUBLISHED)


def stays_below_all_later(outcome: Outcome) -> Judged:
    """Whether training accuracy stays below 100 % in five times the time."""
    return of.stays_below_all(outcome, NOTE)


def has_better_test_later(outcome: Outcome) -> Judged:
    """Whether test accuracy is higher after five times the time."""
    return of.has_better_test(outcome, NONE, NOTE)


def figures(outcome: Outcome) -> list[Panel]:
    """The two pictures of the book, and what comes later."""
    x, y = lines.Axis("epoch (3 steps of 100 images)"), lines.Axis("accuracy", percent=True, limits=(0, 1.03))
    frames = [
        of.frame(outcome, NONE, "without dropout", PUBLISHED),
        of.frame(outcome, NOTE, "dropout 0.2, as the note's code has it", PUBLISHED),
    ]
    test = [
        of.line(outcome, arm, "test", arm, place, since=PUBLISHED) for arm, place in zip(ARMS, (0, 2, 3), strict=True)
    ]
    return [
        drawn("accuracy", lines, lines.info("300 images, with and without dropout", x, y, frames)),
        drawn(
            "later", lines, lines.info("Test accuracy when training goes on", x, y._replace(limits=None), test),
            "From where the book ends to five times as long. Lines are medians over the seeds, bands their range.",
        ),
    ]  # fmt: skip


def table(outcome: Outcome) -> Table:
    """Accuracy at the book's end and at ours."""
    rows = []
    for when in dict.fromkeys((of.reached(outcome, NONE, PUBLISHED), of.reached(outcome, NONE))):
        for arm in ARMS:
            train, test = (spread(of.at(outcome, arm, part, when), percent=True) for part in ("train", "test"))
            rows.append([f"{when}", arm, train, test, spread([100 * each for each in of.gaps(outcome, arm, when)])])
    return Table(
        "Mean ± standard deviation over the seeds, each with 300 images of its own; gap in points.",
        ["epochs", "arm", "train", "test", "gap"],
        rows,
        text_columns=2,
    )


STUDY = Study(
    name="dropout",
    title="Dropout narrows the gap between training and test accuracy; are new images recognized better?",
    source="Deep Learning from Scratch, chapter 6.4 (overfit_dropout.py); Srivastava et al. 2014",
    notes=("004",),
    claims=(
        Claim(
            "With 300 images and no dropout, training accuracy reaches 100 % and test accuracy stays far behind.",
            "at least 99.5 % (one image wrong) and a gap of at least 10 points after 301 epochs, in every seed; the "
            "book's figure has a gap of about 25; seeds that disagree decide nothing",
            overfits_without,
        ),
        Claim("Dropout makes the gap smaller.", PAIRED, shrinks_the_gap),
        Claim(
            "With dropout training accuracy does not reach 100 %, in the book's 301 epochs.",
            "below 99.5 % at every measurement, in every seed; seeds that disagree decide nothing",
            stays_below_all,
        ),
        Claim("Dropout makes test accuracy better, after 301 epochs.", PAIRED, has_better_test),
        Claim(
            "With dropout training accuracy does not reach 100 % in five times as long either (ours).",
            "below 99.5 % at every measurement, in every seed; seeds that disagree decide nothing",
            stays_below_all_later,
        ),
        Claim("Dropout makes test accuracy better, after five times as long (ours).", PAIRED, has_better_test_later),
    ),
    plan=plan,
    figures=figures,
    table=table,
    see="""The dashed line is accuracy on the 300 images that are learned, the solid one on images that the network has
    not seen. Does dropout make both rise more slowly? Look at the solid line at the same epoch in both frames, and in
    the second figure at where each ends when it is given more time.""",
    why="""In training every unit is switched off with probability 0.2, for each image anew, so that no unit can rely
    on another one being there. The gradient becomes noisier and learning slower: at any given epoch before the end, a
    network with dropout has learned less of its training images. That alone makes the gap smaller, and it is why the
    experiment goes on for five times as long here.

    Accuracy is measured with all units on. So nothing keeps a network with dropout from getting all of its training
    images right, if it is large enough and given the time.

    The note's code multiplies by 0 or 1 in training and by 0.8 in evaluation; torch divides by 0.8 in training and does
    nothing in evaluation. Both keep the mean the same in both modes. But with the note's, six layers in training pass
    on 0.8⁶ ≈ 26 % of the signal of the initial weights, so that it learns more slowly.""",
    changes="""In our first runs of five times as long torch's form of dropout came 2.7 points above no dropout on test
    images, the note's 1.5 (with five seeds; the first was seen, not predicted, and so it is no claim). A larger network
    or more epochs favor dropout; a share above 0.5, or a small network, makes it underfit. With batch normalization see
    bn-regularizes, for what the average over masks has to do with it see dropout-ensemble.""",
    quick_seconds=60,
    full="as published with 20 seeds, and five times as long; 8 minutes",
    data="mnist",
    alternatives=("fashion-mnist", "digits"),
)
