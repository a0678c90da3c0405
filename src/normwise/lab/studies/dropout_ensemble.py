"""Note 004: multiplying by the kept share at inference is about what averaging many thinned networks gives."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from normwise.figures import lines
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.drawing import drawn, spread
from normwise.lab.reproduction.judging import PAIRED, difference, less
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Measurement, Study, judged
from normwise.lab.studies.shared.thinned import COUNTS, DROPPED, FEWER, measured
from normwise.report import Table

SAME = 0.005
"""Accuracies that agree: about one standard error of 5,000 examples near 90 %."""


def plan(asked: Asked) -> list[Measurement]:
    """A measurement a seed, with weights, batches and masks of its own."""
    parameters = {
        "tests": asked.scale.pick(smoke=100, quick=5000, full=10_000),
        "examples": asked.scale.pick(smoke=100, quick=1000, full=5000),
        "epochs": asked.scale.pick(smoke=1, quick=100, full=200),
        "members": asked.scale.pick(smoke=2, quick=10, full=30),
    }
    seeds = asked.seeds or asked.scale.pick(smoke=1, quick=3, full=5)
    return [Measurement("networks", measured, parameters, seed, asked.data) for seed in range(seeds)]


def _halves(outcome: Outcome, key: str, name: str = "half") -> list[Any]:
    return [each[name][key] for each in outcome.measured["networks"]]


def accuracies_agree(outcome: Outcome) -> Judged:
    """Whether scaling is right as often as the average over many masks."""
    kept, many = _halves(outcome, "kept"), [masks[-1] for masks in _halves(outcome, "masks")]
    gain = less(kept, many)
    return judged(
        gain.within(SAME),
        f"Scaling is right for {100 * fmean(kept):.2f} % of the test, the average over {COUNTS[-1]} masks for "
        f"{100 * fmean(many):.2f} %: {gain}.",
        scaled=kept, averaged=many, interval=gain.interval,
    )  # fmt: skip


def probabilities_agree(outcome: Outcome) -> Judged:
    """Whether scaling is nearer to the average than a single mask is, by half."""
    off, one = _halves(outcome, "kept_distance"), _halves(outcome, "one_mask_distance")
    return judged(
        less([each / 2 for each in one], off).positive,
        f"From the average over {COUNTS[-1]} masks, scaling is {fmean(off):.3f} away (total variation), one mask "
        f"{fmean(one):.3f}.",
        scaled=off, one_mask=one,
    )  # fmt: skip


def scaling_beats_one_mask(outcome: Outcome) -> Judged:
    """Whether scaling is better than a single thinned network."""
    kept, one = _halves(outcome, "kept"), [masks[0] for masks in _halves(outcome, "masks")]
    gain = less(kept, one)
    return judged(
        gain.positive,
        f"Scaling is right for {100 * fmean(kept):.2f} %, a single random mask for {100 * fmean(one):.2f} %: {gain}.",
        scaled=kept, one_mask=one, interval=gain.interval,
    )  # fmt: skip


def dropout_is_like_an_ensemble(outcome: Outcome) -> Judged:
    """Whether one network with dropout gains half of what an ensemble without it gains, if that gains at all."""
    found = outcome.measured["networks"]
    ours = [each["half"]["kept"] - each["single"] for each in found]
    theirs = [each["ensemble"][-1] - each["single"] for each in found]
    over = difference([a - b / 2 for a, b in zip(ours, theirs, strict=True)])
    return judged(
        over.positive if difference(theirs).positive else None,
        f"Over a single network without dropout, one with it gains {100 * fmean(ours):+.2f} points, and an ensemble of "
        f"{found[0]['members'][-1]} without it {100 * fmean(theirs):+.2f}. The gain less half of that is {over}.",
        dropout=ours, ensemble=theirs, interval=over.interval,
    )  # fmt: skip


def dropped_share_does_too(outcome: Outcome) -> Judged:
    """Whether multiplying by the dropped share is as near to the average."""
    kept, wrong = _halves(outcome, "kept_distance", "fifth"), _halves(outcome, "dropped_distance", "fifth")
    return judged(
        less([2 * each for each in kept], wrong).positive,
        f"With {100 * FEWER:.0f} % dropped, multiplying by {1 - FEWER:g} is {fmean(kept):.3f} from the average over "
        f"{COUNTS[-1]} masks (total variation), multiplying by {FEWER:g} is {fmean(wrong):.3f}.",
        kept=kept, dropped=wrong,
    )  # fmt: skip


def figures(outcome: Outcome) -> list[Panel]:
    """Accuracy over the number of masks or networks, and the distance of the average from scaling."""
    found = outcome.measured["networks"]

    def mean(values: list[list[float]]) -> list[float]:
        return [fmean(each) for each in zip(*values, strict=True)]

    counts, members = found[0]["counts"], found[0]["members"]
    kept = fmean(each["half"]["kept"] for each in found)
    drawn_lines = [
        lines.Line("networks without dropout", members, mean([each["ensemble"] for each in found]), 0),
        lines.Line("masks of one network", counts, mean([each["half"]["masks"] for each in found]), 1),
        lines.Line("that network, scaled", counts, [kept] * len(counts), 1, "dashed"),
    ]
    number, right = lines.Axis("masks or networks averaged", log=True), lines.Axis("test accuracy", percent=True)
    apart = [
        lines.Line(
            f"{100 * share:.0f} % dropped", counts, mean([each[name]["mask_distances"] for each in found]), place
        )
        for place, (name, share) in enumerate((("fifth", FEWER), ("half", DROPPED)))
    ]
    away = lines.Axis("distance from scaling (total variation, 0 to 1)")
    return [
        drawn("accuracy", lines, lines.info("Averaging masks or networks, and scaling", number, right, drawn_lines)),
        drawn("distance", lines, lines.info("Distance of the average over masks from scaling", number, away, apart),
              "It falls to what scaling does not get exactly; mean over the seeds."),
    ]  # fmt: skip


def table(outcome: Outcome) -> Table:
    """A row for each way to the answer."""
    found = outcome.measured["networks"]
    halves = [each["half"] for each in found]
    ways: list[tuple[str, list[float], list[float]]] = [
        ("one network without dropout", [each["single"] for each in found], []),
        (f"ensemble of {found[0]['members'][-1]} of them", [each["ensemble"][-1] for each in found], []),
        ("one network with dropout, scaled", [each["kept"] for each in halves], [0.0] * len(found)),
    ]
    for place, count in enumerate(COUNTS):
        right, far = ([each[key][place] for each in halves] for key in ("masks", "mask_distances"))
        ways.append((f"the same, average over {count} masks", right, far))
    return Table(
        f"Mean ± standard deviation over the seeds; dropout of {DROPPED:.0%}; distance of probabilities from scaling "
        "(total variation).",
        ["answer by", "test accuracy", "distance"],
        [[name, spread(right, 2, percent=True), spread(far, 3)] for name, right, far in ways],
    )


STUDY = Study(
    name="dropout-ensemble",
    title="Multiplying by the kept share, averaging over many dropout masks, and averaging networks",
    source="note 004 (dropout and ensembles); Srivastava et al. 2014",
    notes=("004",),
    claims=(
        Claim(
            "Multiplying by the kept share is right about as often as the average over many thinned networks.",
            "the 95 % interval over the seeds of their difference lies within half a point, about one standard error "
            "of 5,000 examples near 90 %",
            accuracies_agree,
        ),
        Claim(
            "Multiplying by the kept share gives about the probabilities of that average.",
            "total variation from the average over 100 masks is below half of what a single mask's is (half is "
            "ours), by more than the 95 % interval over the seeds",
            probabilities_agree,
        ),
        Claim(
            "With scaling, one pass is better than one thinned network.",
            f"its accuracy is higher: {PAIRED}",
            scaling_beats_one_mask,
        ),
        Claim(
            "Dropout has the effect of an ensemble, with one network.",
            "over a single network it gains at least half of what an ensemble does (ours, for the note's “about”), by "
            "more than the 95 % interval over the seeds; undecided where the ensemble gains nothing itself",
            dropout_is_like_an_ensemble,
        ),
        Claim(
            "At inference outputs are multiplied by the share that was dropped, as note 004 has it in one place.",
            "with 20 % dropped, it is at most twice as far from the average over many masks as the kept share is "
            "(twice is ours)",
            dropped_share_does_too,
        ),
    ),
    plan=plan,
    figures=figures,
    table=table,
    see="""Compare where the average over masks of one network (solid blue) ends with the dashed line, that network with
    its outputs multiplied by the kept share, in one pass. The vermilion line averages networks that were trained
    apart, without dropout; compare its rise with what dropout gains over its first point.""",
    why="""With a mask, a unit of the next layer receives a random sum; multiplying every hidden output by the kept
    share gives that sum's mean. For a linear output the mean over all masks is then exact. ReLU and softmax bend
    it, so the distance does not fall to zero with more masks: averaged probabilities are softer than those of one
    pass, and the largest is mostly the same.

    A thinned network shares its weights with all others and was hardly trained by itself; the members of an
    ensemble are trained to the end, each from its own initial weights. So the two averages need not be alike.

    Note 004 says in one place that outputs are multiplied by the share that was not dropped, which is right, and in
    another by the share that was dropped. With one half the two are the same; with 20 % they are 0.8 and 0.2.
    PyTorch's nn.Dropout divides by the kept share in training and does nothing at inference, which is the same but
    for that factor in the next layer's weights; that is what the note means when it says that frameworks do not
    multiply.""",
    changes="""The share: with less dropped, masks differ less and scaling is nearer to their average. The data:
    where a single network overfits, there is more to gain, for dropout as for an ensemble.""",
    quick_seconds=65,
    full="5,000 examples, 200 epochs, ensembles of 30, 5 seeds; 40 minutes",
    data="mnist",
    alternatives=("fashion-mnist", "digits"),
)
