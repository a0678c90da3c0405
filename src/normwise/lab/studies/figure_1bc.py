"""Figure 1 (b, c): what one unit of the last hidden layer receives while the network of figure 1 (a) trains."""

from __future__ import annotations

from statistics import median

import numpy as np

from normwise.figures import lines
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.drawing import drawn, published
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Measurement, Study, judged
from normwise.lab.studies.figure_1a import ARMS
from normwise.lab.studies.shared.unit_inputs import EXAMPLES, PERCENTS, inputs
from normwise.report import Table

UNIT = 0
"""The unit of the figure, chosen before any was seen; the claims are about the median over all 100 units."""

WHOLE = 50_000
"""Steps of the paper's training, and what we take its unlabeled axis to span."""

CURVES = {"plain": "fig1bc_withoutBN", "bn": "fig1bc_withBN"}
NAMES = {"plain": "(b) without BN", "bn": "(c) with BN"}


def plan(asked: Asked) -> list[Measurement]:
    """Both networks, with each seed."""
    steps, every = asked.scale.pick(smoke=(20, 10), quick=(12_000, 250), full=(WHOLE, 500))
    seeds = asked.seeds or asked.scale.pick(smoke=1, quick=2, full=3)
    return [
        Measurement(
            arm, inputs, {"norm": ARMS[arm].get("norm", "none"), "steps": steps, "every": every}, seed, asked.data
        )
        for arm in ARMS
        for seed in range(seeds)
    ]


def largest_median(outcome: Outcome, arm: str, which: str = "p50") -> float:
    """How far from 0 a unit's median comes at most; the median over units and seeds."""
    return float(np.median([np.abs(found[which]).max(axis=0) for found in outcome.measured[arm]]))


def wandering(outcome: Outcome, arm: str) -> float:
    """From the lowest to the highest that a unit's median is; the median over units and seeds."""
    return float(np.median([np.ptp(found["p50"], axis=0) for found in outcome.measured[arm]]))


def widths(outcome: Outcome, arm: str) -> dict[int, float]:
    """By step, the distance between a unit's 15th and 85th percentile; the median over units and seeds."""
    each = [np.subtract(found["p85"], found["p15"]) for found in outcome.measured[arm]]
    return dict(zip(outcome.measured[arm][0]["steps"], np.median(each, axis=(0, 2)).tolist(), strict=True))


def stays_near_zero(outcome: Outcome) -> Judged:
    """Whether the median of a typical unit with BN stays within 0.2 of 0."""
    bn, plain = largest_median(outcome, "bn"), largest_median(outcome, "plain")
    own = max(abs(row[UNIT]) for row in outcome.measured["bn"][0]["p50"])
    return judged(
        bn < 0.2,
        f"The median input of a typical unit comes at most {bn:.2f} from 0 with BN and {plain:.2f} without; that of "
        f"unit {UNIT} in the figure {own:.2f} with BN. The paper's unit: 0.16 and 1.1.",
        bn=bn, plain=plain, unit=own,
    )  # fmt: skip


def stays_near_zero_in_training(outcome: Outcome) -> Judged:
    """The same where the layer normalizes with the batch's own statistics."""
    bn = largest_median(outcome, "bn", "p50_in_training")
    words = f"With the statistics of the {EXAMPLES:,} images themselves, the median comes at most {bn:.2f} from 0."
    return judged(bn < 0.2, words, bn=bn)


def wanders_without(outcome: Outcome) -> Judged:
    """Whether the median of a typical unit wanders at least twice as far without BN."""
    bn, plain = wandering(outcome, "bn"), wandering(outcome, "plain")
    return judged(
        plain >= 2 * bn,
        f"From its lowest to its highest a typical unit's median goes {plain:.2f} without BN and {bn:.2f} with it.",
        bn=bn, plain=plain,
    )  # fmt: skip


def spread_grows(outcome: Outcome) -> Judged:
    """Whether a typical unit's inputs spread more and more, with BN steadily, without from nearly nothing."""
    bn, plain = widths(outcome, "bn"), widths(outcome, "plain")
    wanted = [step for share in (0.02, 0.1, 0.2, 0.5, 1.0) if (step := int(share * WHOLE)) in bn]
    if len(wanted) < 2:
        return judged(None, "The runs are too short to see it.")
    steady = [bn[step] for step in wanted]
    first, last = next(iter(plain.values())), list(plain.values())[-1]
    said = ", ".join(f"{bn[step]:.2f} at step {step:,}" for step in wanted)
    return judged(
        steady == sorted(steady) and last > 10 * first,
        f"From the 15th to the 85th percentile a typical unit with BN has {said}; without BN {first:.2f} at step "
        f"{next(iter(plain)):,} and {last:.2f} at step {list(plain)[-1]:,}.",
        bn=steady, plain=[first, last], steps=wanted,
    )  # fmt: skip


def figures(outcome: Outcome) -> list[Panel]:
    """The unit's percentiles beside the published ones, and the medians of ten units."""
    percentiles, medians = [], []
    for place, (arm, name) in enumerate(NAMES.items()):
        found, said = outcome.measured[arm][0], name.partition(") ")[2]
        rows = [row for row in published(CURVES[arm]) if row["fraction_of_x_axis"] * WHOLE <= found["steps"][-1]]
        there = [row["fraction_of_x_axis"] * WHOLE for row in rows]
        drawn_lines = []
        for key in (f"p{percent}" for percent in PERCENTS):
            ours = [row[UNIT] for row in found[key]]
            drawn_lines.append(lines.Line(f"ours, {said}", found["steps"], ours, place))
            drawn_lines.append(lines.Line(f"paper, {said}", there, [row[key] for row in rows], place, "published"))
        percentiles.append(lines.Frame(name, drawn_lines))
        units = [lines.Line(said, found["steps"], [row[unit] for row in found["p50"]], place) for unit in range(10)]
        medians.append(lines.Frame(name, units))
    x, y = lines.Axis("training step"), lines.Axis("input of the sigmoid: 15th, 50th, 85th percentile")
    main = lines.info(f"What unit {UNIT} of the last hidden layer receives", x, y, percentiles)
    every = lines.info("Medians of units 0 to 9", x, lines.Axis("median input of the sigmoid"), medians)
    said = "The 50th percentile of the first ten units of the last hidden layer, over 1,000 test images."
    return [drawn("unit", lines, main), drawn("medians", lines, every, said)]


def table(outcome: Outcome) -> Table:
    """The unit's percentiles at some steps, beside the published ones."""
    rows = []
    for arm, name in NAMES.items():
        found = outcome.measured[arm][0]
        wanted = [step for step in (500, 1000, 5000, 10_000, 25_000, WHOLE) if step in found["steps"]]
        for step in wanted or found["steps"][-1:]:
            place = found["steps"].index(step)
            near = min(published(CURVES[arm]), key=lambda row: abs(row["fraction_of_x_axis"] * WHOLE - step))
            ours = " / ".join(f"{found[f'p{percent}'][place][UNIT]:.2f}" for percent in PERCENTS)
            theirs = " / ".join(f"{near[f'p{percent}']:.2f}" for percent in PERCENTS)
            width = median(np.array(found["p85"][place]) - np.array(found["p15"][place]))
            rows.append([name, f"{step:,}", ours, theirs, f"{width:.2f}"])
    said = (
        "15th / 50th / 85th percentile of what the unit's sigmoid receives, ours and the paper's, and the distance "
        "between the outer two for the median of our 100 units; one seed."
    )
    return Table(said, ["network", "step", f"unit {UNIT}", "paper's unit", "typical spread"], rows)


STUDY = Study(
    name="figure-1bc",
    title="What one unit receives while the network trains, with and without batch normalization",
    source="Ioffe and Szegedy 2015, section 4.1, figure 1 (b, c)",
    notes=("003",),
    claims=(
        Claim(
            "With BN, the median of what a typical unit receives stays near 0 all along.",
            "below 0.2 from the first measurement on, after 250 or 500 steps, for the median over all units and seeds "
            "of the largest distance from 0; the paper's unit stays below 0.16",
            stays_near_zero,
        ),
        Claim(
            "It does where BN uses a batch's own statistics, as it does in training. (Ours: the running averages of "
            "evaluation lag behind weights that move, and the paper does not say which it drew.)",
            "below 0.2, as above",
            stays_near_zero_in_training,
        ),
        Claim(
            "Without BN it wanders.",
            "from lowest to highest at least twice as far as with BN, for the median over all units and seeds; the "
            "published curves differ by a factor of about 6",
            wanders_without,
        ),
        Claim(
            "The spread grows with training: steadily with BN, from nearly nothing without.",
            "with BN it rises at 2, 10, 20, 50 and 100 % of 50,000 steps, as far as the run comes; without, the last "
            "is ten times the first; medians over all units and seeds; the paper's go from 2.3 to 3.9 and from 0.07 to "
            "3.5",
            spread_grows,
        ),
    ),
    plan=plan,
    figures=figures,
    table=table,
    see=f"""Three lines a frame: 15, 50 and 85 % of the images give unit {UNIT} less than this. Compare how far the
    middle line goes from 0 with BN and without, and when the three come apart. Rings are the paper's unit, which is
    another one, so compare shapes and not values.""",
    why="""Without BN the weights begin small, and a unit receives nearly the same number for every image, its bias and
    the sum of its weights times one half. That number moves with every step of the layers below. With BN the unit's
    input has mean β over each batch, and standard deviation |γ|. Both are learned parameters that move slowly, from 0
    and 1 on; nothing that the layers below do can move the mean.

    BN holds the mean and not the median, which moves as the distribution becomes skewed. The lines with BN can jump
    besides, since evaluation takes means and variances from about the last ten batches,
    while the weights have moved on. Whether steadier inputs are the reason why BN helps is another question, which
    Santurkar et al. 2018 answer with no (see covariate-shift).""",
    changes="""Larger initial weights without BN: the bundle is open from the start. A smaller learning rate lets the
    lines with BN jump less.""",
    quick_seconds=20,
    full="50,000 steps as published, 3 seeds; 2 minutes",
    data="mnist",
)
