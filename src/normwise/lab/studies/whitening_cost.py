"""Section 2: what it costs to whiten a layer's features rather than to normalize each, and what it gains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import log
from statistics import fmean
from typing import Any

from normwise.figures import lines
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.drawing import drawn, spread
from normwise.lab.reproduction.judging import PAIRED, every, less
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Measurement, Study, judged
from normwise.lab.studies.shared.whitening_cost import BATCH, LAYERS, WIDTH, learning, times
from normwise.report import Table

GROUPED = "Newton, groups of 64"
PLACES = {"plain": 0, "BN": 1, "ZCA": 2, "Newton": 3, GROUPED: 4}

FITTED = 3
"""The exponent is fitted to the three largest widths: below, a layer's fixed cost decides."""

WHITENED = ("ZCA", "Newton", GROUPED)
KINDS = ("plain", "BN", *WHITENED)


def plan(asked: Asked) -> list[Measurement]:
    """The times alone, then the networks."""
    largest = asked.scale.pick(smoke=5, quick=10, full=11)
    widths = [2**power for power in range(3 if largest == 5 else 4, largest + 1)]
    rounds = asked.scale.pick(smoke=1, quick=5, full=15)
    steps = asked.scale.pick(smoke=4, quick=300, full=3000)
    seeds = asked.seeds or asked.scale.pick(smoke=1, quick=3, full=5)
    return [
        Measurement("times", times, {"widths": widths, "rounds": rounds}),
        *(
            Measurement(kind, learning, {"kind": kind, "steps": steps}, seed, asked.data)
            for kind in KINDS
            for seed in range(seeds)
        ),
    ]


def exponent(widths: Sequence[float], seconds: Sequence[float]) -> float:
    """The slope of log seconds over log width at the largest widths, by least squares."""
    x, y = ([log(value) for value in values[-FITTED:]] for values in (widths, seconds))
    middle, level = fmean(x), fmean(y)
    top = sum((a - middle) * (b - level) for a, b in zip(x, y, strict=True))
    return top / sum((a - middle) ** 2 for a in x)


def grows_cubically(outcome: Outcome) -> Judged:
    """Whether the exponent of whitening is nearer to 3 than to 2, and that of BN near 1 or below."""
    found = outcome.measured["times"][0]
    powers = {name: exponent(found["widths"], found[name]) for name in LAYERS}
    said = ", ".join(f"{power:.2f} for {name}" for name, power in powers.items())
    return judged(
        powers["ZCA"] > 2.5 and powers["Newton"] > 2.5 and powers["BN"] < 1.3,
        f"Time grows with the width to the power of {said}, from {found['widths'][-FITTED]} to {found['widths'][-1]} "
        "features.",
        exponents=powers,
    )


def is_expensive(outcome: Outcome) -> Judged:
    """Whether whitening takes more than ten times as long at the largest width."""
    found = outcome.measured["times"][0]
    ratios = {name: found[name][-1] / found["BN"][-1] for name in LAYERS if name != "BN"}
    said = ", ".join(f"{ratio:,.0f} times with {name}" for name, ratio in ratios.items())
    return judged(
        min(ratios["ZCA"], ratios["Newton"]) > 10,
        f"Of {found['widths'][-1]} features, forward and backward of {BATCH} examples take "
        f"{1000 * found['BN'][-1]:.2g} ms with BN, and as long {said}.",
        ratios=ratios,
    )  # fmt: skip


def _mean_accuracy(outcome: Outcome, kind: str) -> list[float]:
    """Over all measurements: larger for what learns sooner."""
    return [fmean(run["accuracy"]) for run in outcome.measured[kind]]


def learns_sooner(outcome: Outcome, kind: str) -> Judged:
    """Whether one way to whiten is ahead of BN at equal steps."""
    bn, whitened = (_mean_accuracy(outcome, each) for each in ("BN", kind))
    found = less(whitened, bn)
    return judged(
        found.positive,
        f"Mean test accuracy over all steps is {100 * fmean(bn):.2f} % with BN and {100 * fmean(whitened):.2f} % with "
        f"{kind}: {found}.",
        bn=bn, whitened=whitened, interval=found.interval,
    )  # fmt: skip


def at_time(run: Mapping[str, Any], seconds: float) -> float:
    """The accuracy at the last measurement within so many seconds."""
    pairs = zip(run["seconds"], run["accuracy"], strict=True)
    return float([accuracy for spent, accuracy in pairs if spent <= seconds][-1])


def is_behind_at_equal_time(outcome: Outcome) -> Judged:
    """Whether BN is ahead where each has the time that BN takes for a tenth of its steps."""
    shown: dict[str, list[float]] = {kind: [] for kind in ("BN", *WHITENED)}
    for runs in zip(*(outcome.measured[kind] for kind in shown), strict=True):
        seconds = runs[0]["seconds"]
        for kind, run in zip(shown, runs, strict=True):
            shown[kind].append(at_time(run, seconds[max(1, len(seconds) // 10)]))
    said = ", ".join(f"{100 * fmean(values):.1f} % with {kind}" for kind, values in shown.items())
    return judged(
        every(less(shown["BN"], shown[kind]).positive for kind in WHITENED),
        f"In the time that BN takes for a tenth of its steps, test accuracy reaches {said}.",
        accuracy=shown,
    )


def figures(outcome: Outcome) -> list[Panel]:
    """Time over width; accuracy over steps and over seconds."""
    found = outcome.measured["times"][0]
    widths, largest = found["widths"], found["widths"][-1]
    series = [lines.Line(name, widths, [1000 * value for value in found[name]], PLACES[name]) for name in LAYERS]
    cubic = [1000 * found["ZCA"][-1] * (width / largest) ** 3 for width in widths[-FITTED:]]
    series.append(lines.Line("∝ width³", widths[-FITTED:], cubic, 6, "dotted"))
    x, y = lines.Axis("features", log=True), lines.Axis("forward and backward, milliseconds", log=True)
    floor = min(min(found[name]) for name in LAYERS)
    y = y._replace(limits=(500 * floor, 2000 * max(found["Newton"][-1], found["ZCA"][-1])))
    return [
        drawn("time", lines, lines.info("Whitening against normalizing each feature", x, y, series)),
        _accuracies(outcome, "steps", lines.Axis("training step"), "At equal steps"),
        _accuracies(outcome, "seconds", lines.Axis("seconds of training on one core"), "At equal time"),
    ]


def _accuracies(outcome: Outcome, what: str, x: lines.Axis, title: str) -> Panel:
    series = []
    for kind in KINDS:
        runs = outcome.measured[kind]
        across, up = (
            [fmean(column) for column in zip(*(run[name] for run in runs), strict=True)] for name in (what, "accuracy")
        )
        series.append(lines.Line(kind, across, up, PLACES[kind]))
    if what == "seconds":
        x = x._replace(limits=(0, 3 * max(series[1].x)))
    info = lines.info(f"{title}: two hidden layers of {WIDTH}", x, lines.Axis("test accuracy", percent=True), series)
    return drawn(f"accuracy-by-{what}", lines, info, "Means over the seeds.")


def table(outcome: Outcome) -> Table:
    """Time per step and accuracy by layer."""
    found = outcome.measured["times"][0]
    rows = []
    for kind in PLACES:
        runs = outcome.measured.get(kind, ())
        alone = [f"{1000 * found[kind][at]:.2g} ms" if kind in found else "\N{EN DASH}" for at in (0, -1)]
        power = f"{exponent(found['widths'], found[kind]):.2f}" if kind in found else "\N{EN DASH}"
        step = [1000 * run["seconds"][-1] / run["steps"][-1] for run in runs]
        cells = [spread(step, 2), spread([run["accuracy"][-1] for run in runs], percent=True)]
        rows.append([kind, *alone, power, *cells])
    return Table(
        f"Forward and backward of the layer alone on {BATCH} examples, medians; the exponent of the width at the "
        f"largest three; then a whole training step of two hidden layers of {WIDTH}, and test accuracy at the end.",
        ["layer", f"{found['widths'][0]} features", f"{found['widths'][-1]} features", "exponent", "ms a step", "test"],
        rows,
    )


STUDY = Study(
    name="whitening-cost",
    title="What it costs to whiten a layer rather than to normalize each of its features, and what it gains",
    source="Ioffe and Szegedy 2015, sections 2 and 3; Huang et al. 2018 and 2019",
    notes=("003",),
    claims=(
        Claim(
            "Full whitening needs a covariance matrix and its inverse square root, whose time grows with the cube of "
            "the width; that of normalizing each feature grows linearly.",
            "over the three largest widths the exponent is above 2.5 for both ways to whiten, nearer to the 3 of "
            "matrix roots than to the 2 of the products with the batch, and below 1.3 for BN",
            grows_cubically,
        ),
        Claim(
            "Whitening is expensive.",
            "more than ten times the time of BN at the largest width, which no noise of a machine makes",
            is_expensive,
        ),
        *(
            Claim(
                f"Huang et al.: whitening learns sooner than BN at equal steps; here with {kind}.",
                f"the mean test accuracy over all of training is larger: {PAIRED}; groups of 64 and five iterations "
                "are what they recommend",
                partial(learns_sooner, kind=kind),
            )
            for kind in WHITENED
        ),
        Claim(
            "At equal time normalizing each feature is ahead, which is why the paper does so.",
            "in the time that BN takes for a tenth of its steps, where accuracy is still rising, test accuracy is "
            f"higher with BN than with each way to whiten: {PAIRED}",
            is_behind_at_equal_time,
        ),
    ),
    plan=plan,
    figures=figures,
    table=table,
    see="""Both axes are logarithmic: a straight line is a power of the width, and its slope the exponent. The slope
    of the cube is dotted. Compare with it the right ends of the lines: at small widths most of the time is spent on
    calling a layer, whatever its width. Groups of 64 features have matrices of 64 × 64 only, more of them in a wider
    layer, which makes a slope of 1.""",
    why="""To whiten d features takes the d × d covariance of the batch, about m·d² operations for m examples, and its
    inverse square root, about d³: an eigendecomposition, or three products of d × d matrices for each of Newton's
    steps. BN takes two numbers for each feature, m·d operations in all. The backward pass costs the same again or more.

    What whitening is to buy is a loss whose curvature differs less between directions: fewer steps. It may cost steps
    where directions in which a layer's features vary little, much of them noise, are made as large as all others, and
    those that tell the classes apart become a small part of the whole, less so in groups. That is our explanation of
    a whitening that learns more slowly, and it is not tested here.""",
    changes="""A learning rate of its own for each: whitening may bear a larger one, and 0.1 is everybody's here. A
    convolution has many values per feature, so that the covariance, m·d², costs more than its root. On a GPU products
    of matrices are cheap and eigendecompositions are not, which is why Newton's iteration is preferred there.""",
    quick_seconds=30,
    full="up to 2,048 features, 3,000 steps, 5 seeds; 10 minutes",
    data="mnist",
    alternatives=("fashion-mnist", "digits"),
)
