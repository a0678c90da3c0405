"""Sections 2 and 3.3: saturated sigmoid units with and without BN, and a deep sigmoid network that needs BN."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from statistics import fmean, median
from typing import Any

from normwise.figures import lines
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.curves import line
from normwise.lab.reproduction.drawing import accuracy_table, drawn
from normwise.lab.reproduction.judging import less
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Study, Training, judged
from normwise.records import RunRecord

CASES: dict[str, dict[str, Any]] = {
    "ordinary": {"init": "xavier", "lr": 0.2},
    "weights N(0, 1)": {"init": "normal:1", "lr": 0.2},
    "rate 5": {"init": "xavier", "lr": 5.0},
}
"""The paper's network with ordinary weights and rate, and with weights and a rate that drive sigmoids far out; ours."""

NORMS = {"plain": "none", "bn": "batch"}
NAMES = {"plain": "without BN", "bn": "with BN"}

DEEP_RATES = (0.05, 0.5, 5.0)
"""Rates of the deep plain network, so that it is not one rate that is to blame; BN has the middle one. Ours."""


def plan(asked: Asked) -> list[Training]:
    """Three hidden layers in each case, and eight at several rates; all sigmoid."""
    steps = asked.scale.pick(smoke=10, quick=1500, full=10_000)
    seeds = asked.seeds or asked.scale.pick(smoke=1, quick=3, full=3)
    options: dict[str, Any] = {"activation": "sigmoid", "steps": steps}
    options |= asked.scale.pick(smoke={"eval_every": steps}, quick={}, full={})
    shallow = {f"{arm}, {case}": {**keys, "norm": norm} for case, keys in CASES.items() for arm, norm in NORMS.items()}
    deep: dict[str, Mapping[str, Any]] = {f"plain, 8 layers, rate {lr:g}": {"lr": lr} for lr in DEEP_RATES}
    deep |= {"bn, 8 layers, rate 0.5": {"lr": 0.5, "norm": "batch"}}
    eight = {
        "model": "mlp:100x8",
        "init": "xavier",
        "eval_every": asked.scale.pick(smoke=steps, quick=steps // 15, full=steps // 15),
    }
    return [
        Training(shallow, asked.data, seeds, options | {"model": "mlp:100x3"}),
        Training(deep, asked.data, seeds, options | eight, asked.scale.pick(smoke=(), quick=("test",), full=("test",))),
    ]


def saturated(run: RunRecord) -> list[list[float]]:
    """By hidden layer, the share of saturated units at each measurement; nan where a run has left the numbers."""
    rows = [[layer["saturated"] for layer in line["preactivations"]] for line in run.metrics]
    return [[float("nan") if share is None else share for share in layer] for layer in zip(*rows, strict=True)]


def share(outcome: Outcome, arm: str) -> float:
    """The share over all layers and seeds, at the last measurement."""
    return fmean(layer[-1] for run in outcome.runs[arm] for layer in saturated(run))


def keeps_units_out_of_saturation(outcome: Outcome) -> Judged:
    """Whether fewer units are saturated with BN where large weights or a large rate saturate the plain network."""
    found = {case: {arm: share(outcome, f"{arm}, {case}") for arm in NORMS} for case in CASES}
    hard = {case: shares for case, shares in found.items() if shares["plain"] >= 0.05}
    known = all(isfinite(each) for shares in found.values() for each in shares.values())
    said = "; ".join(f"{case}: {100 * each['bn']:.1f} % with BN, {100 * each['plain']:.1f} % without"
                     for case, each in found.items())  # fmt: skip
    return judged(
        all(each["bn"] < each["plain"] / 2 for each in hard.values()) if hard and known else None,
        f"Saturated units at the end, over all layers: {said}.",
        **found,
    )


def deeper_is_worse(outcome: Outcome) -> Judged:
    """Whether, without BN and with large weights, a later layer has more saturated units."""
    runs = outcome.runs["plain, weights N(0, 1)"]
    first, last = ([saturated(run)[layer][-1] for run in runs] for layer in (0, -1))
    more = less(last, first)
    return judged(
        more.positive,
        f"With weights from N(0, 1) and without BN, {100 * fmean(first):.0f} % of the first and "
        f"{100 * fmean(last):.0f} % of the third hidden layer's units are saturated at the end: {more}.",
        first=first, third=last, interval=more.interval,
    )  # fmt: skip


def trains_deep_sigmoids(outcome: Outcome) -> Judged:
    """Whether eight sigmoid layers train with BN and stay at chance without, at every rate."""
    bn = outcome.test("bn, 8 layers, rate 0.5")
    plain = {f"{lr:g}": outcome.test(f"plain, 8 layers, rate {lr:g}") for lr in DEEP_RATES}
    said = ", ".join(f"{100 * max(values, default=0.0):.0f} % at rate {lr}" for lr, values in plain.items())
    all_learn = len(bn) == len(outcome.runs["bn, 8 layers, rate 0.5"]) and min(bn, default=0.0) > 0.9
    return judged(
        all_learn and max((value for values in plain.values() for value in values), default=0) < 0.2,
        f"With BN the least test accuracy of the seeds is {100 * min(bn, default=0.0):.1f} %; without, the greatest is "
        f"{said}.",
        bn=bn, plain=plain,
    )  # fmt: skip


def figures(outcome: Outcome) -> list[Panel]:
    """Saturated units over the steps, by case and layer, and the accuracy of the deep networks."""
    frames = [
        lines.Frame(
            f"{NAMES[arm]}, {case}",
            [
                lines.Line(f"hidden layer {layer + 1}", *_median(outcome, f"{arm}, {case}", layer), layer + 2)
                for layer in range(3)
            ],
        )
        for arm in NORMS
        for case in list(CASES)[1:]
    ]
    x, y = lines.Axis("training step"), lines.Axis("saturated units of a layer", percent=True, limits=(-0.03, 1.03))
    deep = [
        line(outcome.runs[arm], arm, place, "test", look=look)
        for arm, place, look in (
            ("bn, 8 layers, rate 0.5", 1, "solid"),
            *((f"plain, 8 layers, rate {lr:g}", 0, look) for lr, look in zip(DEEP_RATES, LOOKS, strict=True)),
        )
    ]
    accuracy = lines.Axis("test accuracy", percent=True, limits=(0, 1))
    said = "Eight hidden sigmoid layers; median over the seeds."
    return [
        drawn("saturated", lines, lines.info("Saturated sigmoid units", x, y, frames)),
        drawn("deep", lines, lines.info("Eight sigmoid layers", x, accuracy, deep), said),
    ]


LOOKS: tuple[lines.Look, ...] = ("dotted", "solid", "dashed")


def _median(outcome: Outcome, arm: str, layer: int) -> tuple[list[int], list[float]]:
    """Steps and the median share over the seeds, of as many measurements as every run has."""
    values = [saturated(run)[layer] for run in outcome.runs[arm]]
    shares = [median(each) for each in zip(*values, strict=False)]
    return [line["step"] for line in outcome.runs[arm][0].metrics][: len(shares)], shares


STUDY = Study(
    name="saturation",
    title="Saturated sigmoid units and deep sigmoid networks, with batch normalization and without",
    source="Ioffe and Szegedy 2015, sections 1, 2, 3.3 and 4.2.2",
    notes=("003",),
    claims=(
        Claim(
            "With BN fewer units are saturated.",
            "the share over all layers at the end is less than half of that without BN in every case in which at least "
            "5 % are saturated without; a unit is saturated where its mean slope over 32 training images is below 5 % "
            "of the steepest",
            keeps_units_out_of_saturation,
        ),
        Claim(
            "Without BN, saturation grows with depth.",
            "with weights from N(0, 1) the third hidden layer has a larger share than the first at the end: the 95 % "
            "interval over the seeds leaves out 0",
            deeper_is_worse,
        ),
        Claim(
            "A deep network with saturating nonlinearities trains with BN, and not without.",
            "at the best step, above 90 % of the test data right with BN in every run, below 20 % without in every run "
            "and at every rate; guessing has 10 %",
            trains_deep_sigmoids,
        ),
    ),
    plan=plan,
    figures=figures,
    table=accuracy_table,
    see="""Each frame shows how many units of each hidden layer are saturated, the upper row without BN and the lower
    one with it, at large initial weights on the left and at a large learning rate on the right. Look at how many units
    of each layer are saturated after the first steps, and whether they come back.""",
    why="""A sigmoid is flat where its input is far from 0: the slope at 5 is 1/38 of that at 0, and a unit that is
    there for every image learns hardly anything. Weights from N(0, 1) over a hundred inputs give sums with a
    standard deviation of about 6. BN gives the sums mean 0 and standard deviation 1, whatever the weights are, and
    only the learned γ and β can move them out again.

    Eight layers fail for another reason when their weights are ordinary. Hardly a unit need be saturated there, but
    a sigmoid's slope is at most ¼, so that eight layers leave little of a gradient, and little of the differences
    between images: the last layer sees nearly the same for each. BN stretches what is left back to standard
    deviation 1 after every layer, and the gradient with it.""",
    changes="""tanh, whose slope at 0 is 1, trains eight layers without BN if the weights are well chosen. Larger
    initial weights help a deep sigmoid network pass on differences, until its units saturate.""",
    quick_seconds=40,
    full="10,000 steps, 3 seeds; 4 minutes",
    data="mnist",
    alternatives=("fashion-mnist", "digits"),
)
