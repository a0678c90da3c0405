"""Note 001: the small ReLU network of its code, with Xavier's initial weights, with and without batch normalization."""

from __future__ import annotations

from functools import partial
from statistics import fmean

from normwise.figures import lines
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.drawing import accuracy_table, drawn
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Study, Training, judged
from normwise.lab.studies.lab_09_4 import by_epoch, curves, training

INITS = {"Xavier": "xavier", "torch's": "default", "N(0, 1)": "normal:1"}
"""The note's initial weights, those of torch, as in the course's lab, and those of the course's first deep network."""

NORMS = {"plain": "none", "bn": "batch"}
NAMES = {"plain, Xavier": "without BN", "bn, Xavier": "with BN"}


def plan(asked: Asked) -> list[Training]:
    """The note's network with each initialization; 10 epochs, as in the course's lab."""
    arms = {
        f"{arm}, {name}": {"norm": norm, "init": init} for name, init in INITS.items() for arm, norm in NORMS.items()
    }
    return [training(asked, arms, asked.scale.pick(smoke=2, quick=2, full=10))]


def is_faster(outcome: Outcome) -> Judged:
    """Whether the training loss after the first epoch is lower with BN, seed by seed."""
    bn, plain = (
        [by_epoch(run, "train", "loss")[0] for run in outcome.runs[arm]] for arm in ("bn, Xavier", "plain, Xavier")
    )
    lower = [a < b for a, b in zip(bn, plain, strict=True)]
    return judged(
        all(lower) if all(lower) or not any(lower) else None,
        f"After the first epoch the training loss is {fmean(bn):.3f} with BN and {fmean(plain):.3f} without; it is "
        f"lower with BN in {sum(lower)} of {len(lower)} seeds.",
        bn=bn, plain=plain,
    )  # fmt: skip


def last_accuracies(outcome: Outcome, arm: str) -> dict[str, float]:
    """By initialization, the mean test accuracy after the last epoch."""
    return {
        name: fmean(by_epoch(run, "test", "accuracy")[-1] for run in outcome.runs[f"{arm}, {name}"]) for name in INITS
    }


def depends_less_on_the_weights(outcome: Outcome) -> Judged:
    """Whether test accuracy differs less between initializations with BN."""
    found = {arm: last_accuracies(outcome, arm) for arm in NORMS}
    ranges = {arm: max(each.values()) - min(each.values()) for arm, each in found.items()}
    bn, plain = ranges["bn"], ranges["plain"]
    return judged(
        True if 2 * bn < plain else False if bn > plain else None,
        f"Over the three initializations test accuracy spans {100 * bn:.1f} points with BN and {100 * plain:.1f} "
        "without.",
        **found,
    )


def gap(outcome: Outcome, arm: str) -> list[float]:
    """Test loss less training loss after the last epoch, by seed."""
    return [by_epoch(run, "test", "loss")[-1] - by_epoch(run, "train", "loss")[-1] for run in outcome.runs[arm]]


def overfits_less(outcome: Outcome) -> Judged:
    """Whether test and training loss are closer with BN, seed by seed."""
    bn, plain = gap(outcome, "bn, Xavier"), gap(outcome, "plain, Xavier")
    less = [a < b for a, b in zip(bn, plain, strict=True)]
    return judged(
        all(less) if all(less) or not any(less) else None,
        f"Test loss less training loss is {fmean(bn):.3f} with BN and {fmean(plain):.3f} without after the last epoch; "
        f"it is smaller with BN in {sum(less)} of {len(less)} seeds.",
        bn=bn, plain=plain,
    )  # fmt: skip


def figures(outcome: Outcome) -> list[Panel]:
    """The note's network, and every initialization."""
    draw = partial(curves, outcome, names=NAMES)
    epochs = range(1, 1 + min(len(by_epoch(run, "test", "accuracy")) for runs in outcome.runs.values() for run in runs))
    frames = [
        lines.Frame(
            name,
            [
                lines.Line(said, list(epochs), _mean(outcome, f"{arm}, {name}"), place)
                for place, (arm, said) in enumerate({"plain": "without BN", "bn": "with BN"}.items())
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


def _mean(outcome: Outcome, arm: str) -> list[float]:
    return [
        fmean(each) for each in zip(*(by_epoch(run, "test", "accuracy") for run in outcome.runs[arm]), strict=False)
    ]


STUDY = Study(
    name="note-001",
    title="The network of note 001 trains more quickly with batch normalization",
    source="note 001, its code and its list of advantages; Deep Learning from Scratch, chapter 6.3",
    notes=("001",),
    claims=(
        Claim(
            "Training is quick with BN.",
            "the training loss after the first epoch is lower in every seed; a mixed result decides nothing",
            is_faster,
        ),
        Claim(
            "With BN, the result depends little on the initial weights.",
            "over three initializations, mean test accuracy spans less than half of what it spans without BN; between "
            "half and as much decides nothing",
            depends_less_on_the_weights,
        ),
        Claim(
            "BN keeps overfitting down.",
            "test loss less training loss after the last epoch is smaller in every seed; a mixed result decides "
            "nothing",
            overfits_less,
        ),
    ),
    plan=plan,
    figures=figures,
    table=accuracy_table,
    see="""In the first picture the network of the note's code is below its copy without BN after every epoch. The last
    one has the same with other initial weights: with N(0, 1), far too large for 784 inputs, the plain network falls
    behind most.""",
    why="""Xavier's weights give every layer an output of about the size of its input, so that this shallow network
    trains with and without BN. What BN changes is the size of the steps that it stands: Adam's learning rate of 0.01 is
    large here. With weights from N(0, 1) the first layer's outputs have a standard deviation of about 9, the root of
    88, which is what the squares of an image's pixels sum to on average. The plain network has to live with that, and
    BN divides it away.

    The note's code starts its biases as torch does and we start Xavier's at zero; in front of BN a bias has no
    effect.""",
    changes="""More layers make the initial weights matter more (see init-sweep). Overfitting is best seen with few
    examples (see bn-regularizes): here are 55,000.""",
    quick_seconds=60,
    full="10 epochs, 3 seeds of 6 networks; 6 minutes",
    data="mnist",
    alternatives=("fashion-mnist",),
)
