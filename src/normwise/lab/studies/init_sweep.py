"""Note 004: sixteen initial scales, with and without batch normalization."""

from __future__ import annotations

from statistics import fmean, median

from normwise.figures import lines
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.drawing import drawn
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Measurement, Study, judged
from normwise.lab.studies.shared.initial_scales import SCALES, trained
from normwise.report import Table

KINDS = {"bn": 1e-6, "bn, ε = 10⁻⁵": 1e-5, "plain": None}
"""The ε of each network; 10e-7 = 10⁻⁶ is the book's, 10⁻⁵ that of the paper's successors and of our layer."""

PLACES = {"plain": 0, "bn": 1, "bn, ε = 10⁻⁵": 2}

LEARNS = 0.5
"""The accuracy on the training images from which on a network has learned something; ours, five times guessing."""


def plan(asked: Asked) -> list[Measurement]:
    """A measurement per network and seed."""
    epochs = asked.scale.pick(smoke=1, quick=20, full=20)
    seeds = asked.seeds or asked.scale.pick(smoke=1, quick=3, full=20)
    return [
        Measurement(kind, trained, {"eps": eps, "epochs": epochs}, seed, asked.data)
        for seed in range(seeds)
        for kind, eps in KINDS.items()
    ]


def curve(outcome: Outcome, kind: str, place: int) -> list[float]:
    """The accuracy of one scale after each epoch, the median over the seeds."""
    return [median(each) for each in zip(*(run["accuracies"][place] for run in outcome.measured[kind]), strict=True)]


def ends(outcome: Outcome, kind: str) -> list[float]:
    """The accuracy at the end by scale, the median over the seeds."""
    return [curve(outcome, kind, place)[-1] for place in range(len(SCALES))]


def means(outcome: Outcome, kind: str) -> list[float]:
    """The accuracy by scale, as a mean over the epochs: higher for the one that learns sooner."""
    return [fmean(curve(outcome, kind, place)) for place in range(len(SCALES))]


def bn_learns_everywhere(outcome: Outcome) -> Judged:
    """Whether BN learns at nearly every scale."""
    found, other = ends(outcome, "bn"), ends(outcome, "bn, ε = 10⁻⁵")
    count = sum(end > LEARNS for end in found)
    return judged(
        count >= 14,
        f"With the book's ε of 10⁻⁶ BN learns at {count} of 16 scales, ending between {100 * min(found):.0f} % and "
        f"{100 * max(found):.0f} % of the training images; with an ε of 10⁻⁵ at {sum(end > LEARNS for end in other)}.",
        scales=list(SCALES), bn=found, bn_larger_epsilon=other,
    )  # fmt: skip


def plain_learns_in_a_narrow_range(outcome: Outcome) -> Judged:
    """Whether plain learns at few scales only."""
    found = ends(outcome, "plain")
    there = [scale for scale, end in zip(SCALES, found, strict=True) if end > LEARNS]
    where = f", from {min(there):.2g} to {max(there):.2g}" if there else ""
    return judged(
        len(there) <= 5,
        f"Without BN the network learns at {len(there)} of 16 scales{where}.",
        scales=list(SCALES), plain=found,
    )  # fmt: skip


def bn_is_faster(outcome: Outcome) -> Judged:
    """Whether BN's accuracy, over the epochs, is higher at nearly every scale."""
    bn, plain = means(outcome, "bn"), means(outcome, "plain")
    faster = [a > b for a, b in zip(bn, plain, strict=True)]
    slower = ", ".join(f"{scale:.2g}" for scale, is_faster in zip(SCALES, faster, strict=True) if not is_faster)
    return judged(
        sum(faster) >= 14,
        f"The mean accuracy over the epochs is higher with BN at {sum(faster)} of 16 scales"
        f"{f'; not at {slower}' if slower else ''}.",
        scales=list(SCALES), bn=bn, plain=plain,
    )  # fmt: skip


def figures(outcome: Outcome) -> list[Panel]:
    """The book's picture of sixteen frames, and the accuracy at the end over the scale."""
    frames = []
    for place, scale in enumerate(SCALES):
        curves = {kind: curve(outcome, kind, place) for kind in ("bn", "plain")}
        frame = [lines.Line(kind, range(1, len(each) + 1), each, PLACES[kind]) for kind, each in curves.items()]
        frames.append(lines.Frame(f"std {scale:.2g}", frame))
    x, y = lines.Axis("epoch"), lines.Axis("accuracy on the training images", percent=True, limits=(0, 1.03))
    sixteen = lines.info("Sixteen scales of the initial weights", x, y, frames, columns=4)
    over = [
        lines.Line(kind, SCALES, ends(outcome, kind), place, "dashed" if place == 2 else "solid")
        for kind, place in PLACES.items()
    ]
    x = lines.Axis("standard deviation of the initial weights", log=True)
    said = "Median over the seeds. Where the variance of a layer's outputs is below ε, BN cannot stretch it to 1."
    return [
        drawn("sixteen", lines, sixteen),
        drawn("scales", lines, lines.info("Accuracy after the last epoch", x, y, over), said),
    ]


def table(outcome: Outcome) -> Table:
    """A row per scale."""
    columns = [ends(outcome, kind) for kind in PLACES]
    rows = [
        [f"{scale:.2g}", *(f"{100 * end:.1f} %" for end in each)] for scale, *each in zip(SCALES, *columns, strict=True)
    ]
    said = "Accuracy on the training images after the last epoch, median over the seeds, by the standard deviation."
    return Table(said, ["std", *PLACES], rows)


STUDY = Study(
    name="init-sweep",
    title="Sixteen initial scales, with batch normalization and without",
    source="Deep Learning from Scratch, chapter 6.3.2; note 004",
    notes=("001", "003", "004"),
    claims=(
        Claim(
            "With batch normalization the network learns at nearly every scale.",
            "more than half of the training images right after 20 epochs (median over the seeds; guessing has a tenth) "
            "at 14 of the 16 scales or more; 14 is ours, for the book's “nearly all”",
            bn_learns_everywhere,
        ),
        Claim(
            "Without it the network learns only in a narrow range of scales.",
            "more than half of the training images right at 5 of the 16 scales or fewer, a third; ours",
            plain_learns_in_a_narrow_range,
        ),
        Claim(
            "Learning is faster with batch normalization at nearly every scale.",
            "a higher mean accuracy over the epochs (median over the seeds) at 14 of the 16 scales or more",
            bn_is_faster,
        ),
    ),
    plan=plan,
    figures=figures,
    table=table,
    see="""Each frame is one scale, from 1 at the top left to 0.0001 at the bottom right. Count the frames in
    which each line leaves the bottom, a tenth of the images right.""",
    why="""A ReLU layer of 100 units multiplies the size of its input by about σ·√50. Only for σ near 0.14 is that 1.
    With σ = 1 it is 7, five layers make 17,000, and the first step throws the weights away; with σ = 0.01 it is 0.07,
    five layers leave two millionths, and the gradient that comes back is as small.

    Batch normalization divides by the standard deviation of what the layer received, so that σ cancels: BN((aW)u) =
    BN(Wu). It cancels as long as the variance is large beside ε. With σ = 0.0001 the variance is about 10⁻⁶ or less,
    so that ε decides: the book adds 10⁻⁶, which still lets something pass; most libraries, and our layer by default,
    add 10⁻⁵. σ also decides how quickly the direction of the weights turns: the gradient grows as 1/σ, and one step
    turns large weights little.""",
    changes="""A smaller ε for the smallest weights. More epochs: with BN the largest weights turn slowly and catch up.
    Adam in place of SGD: its steps do not depend on the size of the gradient. The book takes the first 1,000 images of
    MNIST's file; here it is the first 1,000 of the training part, from which a twelfth was taken for validation.""",
    quick_seconds=35,
    full="the same with 20 seeds; 3 minutes",
    data="mnist",
    alternatives=("fashion-mnist", "digits"),
)
