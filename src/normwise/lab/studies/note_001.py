"""Note 001: the small ReLU network of its code, with Xavier's initial weights, with and without batch normalization."""

from __future__ import annotations

from functools import partial
from math import nan
from statistics import fmean

from normwise.figures import lines
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.drawing import accuracy_table, drawn
from normwise.lab.reproduction.judging import PAIRED, less
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Study, Training, judged
from normwise.lab.studies.lab_09_4 import by_epoch, curves, mean_by_epoch, training

INITS = {"Xavier": "xavier", "torch's": "default", "N(0, 1)": "normal:1"}
"""The note's initial weights, those of torch, as in the course's lab, and those of the course's first deep network."""

NORMS = {"plain": "none", "bn": "batch"}
FLOOR = 0.02
"""A range of accuracies below this could be seeds, which differ by about half a point; ours."""

GUESSING = 0.1
"""The accuracy that counts for a run that diverged before its first epoch was over."""

NAMES = {"plain, Xavier": "without BN", "bn, Xavier": "with BN"}


def plan(asked: Asked) -> list[Training]:
    """The note's network with each initialization; 10 epochs, as in the course's lab."""
    arms = {
        f"{arm}, {name}": {"norm": norm, "init": init} for name, init in INITS.items() for arm, norm in NORMS.items()
    }
    return [training(asked, arms, asked.scale.pick(smoke=2, quick=2, full=10))]


def is_faster(outcome: Outcome) -> Judged:
    """Whether the training loss after the first epoch is lower with BN."""
    bn, plain = (
        [next(iter(by_epoch(run, "train", "loss")), nan) for run in outcome.runs[arm]]
        for arm in ("bn, Xavier", "plain, Xavier")
    )
    saved = less(plain, bn)
    return judged(
        saved.positive,
        f"After the first epoch the training loss is {fmean(bn):.3f} with BN and {fmean(plain):.3f} without; the "
        f"difference is {saved.write(1, '', 3)}.",
        bn=bn, plain=plain, interval=saved.interval,
    )  # fmt: skip


def last_accuracies(outcome: Outcome, arm: str) -> dict[str, float]:
    """By initialization, the mean test accuracy after the last epoch."""
    return {
        name: fmean(([GUESSING, *by_epoch(run, "test", "accuracy")])[-1] for run in outcome.runs[f"{arm}, {name}"])
        for name in INITS
    }


def depends_less_on_the_weights(outcome: Outcome) -> Judged:
    """Whether test accuracy differs less between initializations with BN."""
    found = {arm: last_accuracies(outcome, arm) for arm in NORMS}
    ranges = {arm: max(each.values()) - min(each.values()) for arm, each in found.items()}
    bn, plain = ranges["bn"], ranges["plain"]
    return judged(
        None if max(bn, plain) < FLOOR else True if 2 * bn < plain else False if bn > plain else None,
        f"Over the three initializations test accuracy spans {100 * bn:.1f} points with BN and {100 * plain:.1f} "
        "without.",
        **found,
    )


def gap(outcome: Outcome, arm: str) -> list[float]:
    """Test loss less training loss after the last epoch, by seed; nan for a run that has no epoch."""
    parts = ([([nan, *by_epoch(run, part, "loss")])[-1] for run in outcome.runs[arm]] for part in ("test", "train"))
    return [test - train for test, train in zip(*parts, strict=True)]


def overfits_less(outcome: Outcome) -> Judged:
    """Whether test and training loss are closer with BN."""
    bn, plain = gap(outcome, "bn, Xavier"), gap(outcome, "plain, Xavier")
    saved = less(plain, bn)
    return judged(
        saved.positive,
        f"Test loss less training loss is {fmean(bn):.3f} with BN and {fmean(plain):.3f} without after the last epoch; "
        f"the difference is {saved.write(1, '', 3)}.",
        bn=bn, plain=plain, interval=saved.interval,
    )  # fmt: skip


def figures(outcome: Outcome) -> list[Panel]:
    """The note's network, and every initialization."""
    draw = partial(curves, outcome, names=NAMES)
    frames = [
        lines.Frame(
            name,
            [
                lines.Line(said, range(1, len(means) + 1), means, place)
                for place, (arm, said) in enumerate({"plain": "without BN", "bn": "with BN"}.items())
                for means in [mean_by_epoch(outcome, f"{arm}, {name}", "test", "accuracy")]
            ],
        )
        for name in INITS
    ]
    y = lines.Axis("test accuracy", percent=True)
    every = lines.info("Test accuracy by initial weights", lines.Axis("epoch"), y, frames, columns=3)
    return [
        drawn("validation-loss", lines, draw("Validation loss, Xavier's weights", "test", "loss")),
        drawn("training-loss", lines, draw("Training loss, Xavier's weights", "train", "loss")),
        drawn("initial-weights", lines, every, "Accuracy on test data after each epoch, mean over the seeds."),
    ]


STUDY = Study(
    name="note-001",
    title="The network of note 001, with batch normalization and without",
    source="note 001, its code and its list of advantages; Deep Learning from Scratch, chapter 6.3",
    notes=("001",),
    claims=(
        Claim(
            "Training is quick with BN.",
            f"the training loss after the first epoch is lower: {PAIRED}",
            is_faster,
        ),
        Claim(
            "With BN, the result depends little on the initial weights.",
            "over three initializations, mean test accuracy spans less than half of what it spans without BN; between "
            "half and as much decides nothing, nor do ranges below 2 points, which seeds alone could make",
            depends_less_on_the_weights,
        ),
        Claim(
            "BN keeps overfitting down.",
            f"test loss less training loss after the last epoch is smaller: {PAIRED}",
            overfits_less,
        ),
    ),
    plan=plan,
    figures=figures,
    table=accuracy_table,
    see="""The first picture has the network of the note's code and its copy without BN; the lower loss is better. The
    last one has both with other initial weights: compare how far the two lines lie apart with N(0, 1), which is far too
    large for 784 inputs, and with the others.""",
    why="""Xavier's weights give every layer an output of about the size of its input, so that this shallow network
    trains with and without BN. What BN changes is the size of the steps that it stands: Adam's learning rate of 0.01 is
    large here. With weights from N(0, 1) the first layer's outputs have a standard deviation of about 9, the root of
    88, which is what the squares of an image's pixels sum to on average. The plain network has to live with that, and
    BN divides it away.

    The note's code starts its biases as torch does and we start Xavier's at zero; in front of BN a bias has no
    effect.""",
    changes="""More layers make the initial weights matter more (see init-sweep). Overfitting is best seen with few
    examples (see bn-regularizes): here are 55,000.""",
    quick_seconds=25,
    full="10 epochs, 3 seeds of 6 networks; 6 minutes",
    data="mnist",
    alternatives=("fashion-mnist",),
)
