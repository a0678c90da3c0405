"""Section 3.1 and note 000: whose statistics a network is evaluated with."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean

from normwise.figures import lines
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked, Scale
from normwise.lab.reproduction.drawing import drawn, spread
from normwise.lab.reproduction.judging import PAIRED, every, less
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Measurement, Study, judged
from normwise.lab.studies.shared.evaluation_statistics import MOVING, OWN, PAPER, POOLED, SIZES, measured
from normwise.report import Table

LEAST, LARGE = SIZES[0], 64

ESTIMATED_FROM = 5000
"""Training images for population statistics: Wu & Johnson 2021 find 1,000 to 10,000 enough."""

WAYS = {MOVING: 1, PAPER: 3, POOLED: 2, OWN: 0}
"""What evaluation normalizes with, and its color."""


def plan(asked: Asked) -> list[Measurement]:
    """One measurement per batch size and seed; every network sees the same number of examples."""
    sizes = asked.scale.pick(smoke=(2, 64), quick=(2, 4, 8, 16, 64, 256), full=SIZES)
    examples = asked.scale.pick(smoke=64, quick=20_000, full=250_000)
    estimated = 64 if asked.scale is Scale.SMOKE else ESTIMATED_FROM
    return [
        Measurement(str(size), measured, {"size": size, "examples": examples, "estimated": estimated}, seed, asked.data)
        for size in sizes
        for seed in range(asked.seeds or asked.scale.pick(smoke=1, quick=5, full=5))
    ]


def errors(outcome: Outcome, size: str, way: str) -> list[float]:
    """The test error of each seed."""
    return [found["ways"][way]["error"] for found in outcome.measured[size]]


def changes(outcome: Outcome, size: str, way: str) -> list[int]:
    """How many answers change, of each seed."""
    return [found["ways"][way]["changed"] for found in outcome.measured[size]]


def answers_are_independent(outcome: Outcome) -> Judged:
    """Whether companions matter in training mode, and never in evaluation."""
    own, rest = (
        {size: [sum(changes(outcome, size, way)[seed] for way in ways) for seed in range(len(found))]
         for size, found in outcome.measured.items()}
        for ways in ((OWN,), (MOVING, PAPER, POOLED))
    )  # fmt: skip
    images = next(iter(outcome.measured.values()))[0]["images"]
    said = ", ".join(f"{fmean(counts):.0f} in batches of {size}" for size, counts in own.items())
    return judged(
        not any(map(any, rest.values())) and all(map(all, own.values())),
        f"Of {images:,} test images, divided into random batches twice, these change their class with the batch's own "
        f"statistics: {said}. In evaluation {sum(map(sum, rest.values()))} do.",
        own=own, evaluation=rest,
    )  # fmt: skip


def lower(outcome: Outcome, size: int, one: str, other: str) -> tuple[bool | None, str]:
    """Whether one way's error is lower than another's, beyond the noise of the seeds; and the numbers."""
    ours, theirs = errors(outcome, str(size), one), errors(outcome, str(size), other)
    found = less(theirs, ours)
    said = f"batches of {size}: {spread(ours, 2, percent=True)} with {one}, {spread(theirs, 2, percent=True)} with "
    return found.positive, f"{said}{other}, lower (negative: higher) by {found}"


def population_beats_moving(outcome: Outcome) -> Judged:
    """Whether population statistics are better than moving averages where batches are small."""
    holds, said = lower(outcome, LEAST, POOLED, MOVING)
    return judged(holds, f"Test error, {said}.")


def own_wins_where_small(outcome: Outcome) -> Judged:
    """Whether the batch's own statistics are better in batches of 2 only."""
    small, said_small = lower(outcome, LEAST, OWN, POOLED)
    large, said_large = lower(outcome, LARGE, POOLED, OWN)
    return judged(every((small, large)), f"Test error, {said_small}; {said_large}.")


def figures(outcome: Outcome) -> list[Panel]:
    """Error by batch size; answers that change; error by the size of evaluation batches."""
    sizes = [int(size) for size in outcome.measured]
    x = lines.Axis("batch size in training", log=True)
    error = lines.Axis("test error in percent", log=True)

    def line(name: str, place: int, values: Callable[[str], list[float]]) -> lines.Line:
        all_ = [[100 * value for value in values(str(size))] for size in sizes]
        low, high = [min(each) for each in all_], [max(each) for each in all_]
        return lines.Line(name, sizes, [fmean(each) for each in all_], place, low=low, high=high)

    by_way = [line(way, place, lambda size, way=way: errors(outcome, size, way)) for way, place in WAYS.items()]  # type: ignore[misc]
    changed = [
        line(
            name, place,
            lambda size, way=way: [  # type: ignore[misc]
                found["ways"][way]["changed"] / found["images"] for found in outcome.measured[size]
            ],
        )
        for name, way, place in (("the batch's own statistics", OWN, 0), ("evaluation", POOLED, 1))
    ]  # fmt: skip
    shown = [size for size in sizes if size in (2, 8, 64, 256)]
    by_size = [
        lines.Line(
            f"trained in batches of {size}", SIZES,
            [100 * fmean(each["by_size"][str(among)] for each in outcome.measured[str(size)]) for among in SIZES],
            place,
        )
        for place, size in enumerate(shown)
    ]  # fmt: skip
    share = lines.Axis("answers that change with the companions, in percent")
    among = lines.Axis("batch size in evaluation", log=True)
    return [
        drawn("error", lines, lines.info("Test error by statistics of evaluation", x, error, by_way)),
        drawn(
            "companions", lines, lines.info("Answers that depend on other images", x, share, changed),
            "The same images in two random divisions into batches: the share whose predicted class changes.",
        ),
        drawn(
            "evaluation-batch", lines,
            lines.info("Normalizing with the batch in evaluation", among, error, by_size),
            "Test error where evaluation normalizes with batches of other sizes than training did.",
        ),
    ]  # fmt: skip


def table(outcome: Outcome) -> Table:
    """A row per batch size: the test errors, and answers that change."""
    rows = [
        [
            size,
            *(spread(errors(outcome, size, way), 2, percent=True) for way in WAYS),
            f"{fmean(changes(outcome, size, OWN)):.0f} of {found[0]['images']:,}",
        ]
        for size, found in outcome.measured.items()
    ]
    said = (
        "Test error by what evaluation normalizes with, mean ± standard deviation over the seeds; and how many answers "
        "change with the companions where that is the batch itself (none otherwise)."
    )
    return Table(said, ["batch size", *WAYS, "change"], rows)


STUDY = Study(
    name="population-statistics",
    title="What a network is evaluated with: moving averages, the population, or the batch itself",
    source="paper, section 3.1 and Algorithm 2; note 000; Wu & Johnson 2021, sections 3 and 4",
    notes=("000", "001", "003"),
    claims=(
        Claim(
            "In evaluation an example's answer does not depend on its companions; with the batch's own statistics it "
            "does (note 000).",
            "no answer changes in evaluation, and at least one does with the batch's own statistics, in every network",
            answers_are_independent,
        ),
        Claim(
            "Where batches are small, population statistics are better than moving averages (Wu & Johnson: 32.0 % "
            "error against 35.5 % in batches of 2).",
            f"the test error in batches of 2 is lower: {PAIRED}",
            population_beats_moving,
        ),
        Claim(
            "In batches of 2 the batch's own statistics are better than those of the population, in large batches they "
            "are worse (Wu & Johnson: 26.0 % against 32.5 %, and the other way round from 16 or so).",
            f"the test error is lower in batches of 2 and higher in batches of 64, of both {PAIRED}; the opposite "
            "of either refutes it",
            own_wins_where_small,
        ),
    ),
    plan=plan,
    figures=figures,
    table=table,
    see="""Follow the lines to the left: the smaller the batches in training, the more it matters what evaluation
    normalizes with. Compare moving averages with population statistics, and both with the batch's own statistics, in
    small batches and in large ones. The second figure shows the other price of the latter: images whose predicted class
    changes when other images are drawn beside them.""",
    why="""In training each example is normalized with the mean and variance of its batch, so its output is a function
    of its companions too. A batch of 256 has nearly the same mean and variance as any other. A batch of 2 has not: two
    values minus their mean, divided by their standard deviation, are always −1 and +1.

    Evaluation should not depend on companions, which is why a layer has two modes, as note 000 says. Moving averages
    are kept during training: with momentum 0.1 they remember about the last ten batches, of weights that have changed
    since, so those of small batches are noisy. Algorithm 2 of the paper takes averages over many training batches once
    the weights are final. "Population" here takes batches of 1,000 for that, so that the layers behind see inputs as
    they will be in evaluation; "Algorithm 2" takes batches of the size of training, as it is written.

    Wu & Johnson's networks are convolutional: a feature map of two images has hundreds of positions to take its mean
    and variance from (section 3.2), so that the batch's own statistics still say something. Here a unit has two values.
    Statistics
    of evaluation can hardly make up for that: the network learned to work on −1 and +1.""",
    changes="""Convolutions have more values for each mean and variance. A momentum of 0.01 makes moving averages less
    noisy. The learning rate is proportional to the batch size and every network sees equally many examples; with one
    rate for all, small batches would move the weights much farther. Where a batch holds images of one class, the
    batch's own statistics are worse still.""",
    quick_seconds=40,
    full="eight batch sizes, 250,000 examples each (5 epochs), 5 seeds; 8 minutes",
    data="mnist",
    alternatives=("digits", "fashion-mnist"),
)
