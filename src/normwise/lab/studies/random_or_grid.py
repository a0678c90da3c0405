"""Note 004: searching hyper-parameters at random, on a grid, on a logarithmic scale, and in narrowing ranges."""

from __future__ import annotations

from collections.abc import Mapping
from math import hypot
from statistics import fmean
from typing import Any

from normwise.figures import lines
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.context import Context
from normwise.lab.reproduction.drawing import drawn
from normwise.lab.reproduction.judging import difference
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Measurement, Study, judged
from normwise.lab.studies.networks.pool import DECAY, POOL, at_random, linearly, narrowed, on_a_grid, trained
from normwise.report import Table

RANGES = {"book": (-6.0, -2.0), "note": (-3.0, 3.0)}
"""Where a search looks for the learning rate: the code of the book, and the example of note 004, 0.001 to 1,000."""

SIDES = (2, 3, 4, 5)
"""Of square grids: 4, 9, 16 and 25 trials."""

SHORT, LONG = 10, 50
"""Epochs of a short evaluation (ours; the note says few) and of a trial (the book's)."""

NOISE = 4.0
"""Standard errors over the searches that count as more than noise."""


def measured(context: Context, *, searches: int, **pool: Any) -> Mapping[str, Any]:
    """Mean and standard error over searches of the test accuracy that each way of searching ends with."""
    made, rng = trained(context, **pool), context.rng
    found: dict[str, Any] = {}
    for name, (low, high) in RANGES.items():
        for side in SIDES:
            shape = (searches, side * side)
            for scale, draw in (("random", at_random), ("linear", linearly)):
                found[f"{name} {scale} {side}"] = made.chosen(
                    draw(rng, low, high, shape), at_random(rng, *DECAY, shape)
                )
            found[f"{name} grid {side}"] = on_a_grid(rng, made, low, high, side, searches)
        found[f"{name} narrowed"] = narrowed(rng, made, low, high, searches)
    said = {key: [float(each.mean()), float(each.std() / searches**0.5)] for key, each in found.items()}
    effects = [float(made.test.mean(axis).std()) for axis in (1, 0)]
    return {"found": said, "effects": effects, "by_rate": made.test.mean(1).tolist()}


def plan(asked: Asked) -> list[Measurement]:
    """A pool for each seed; 500 examples, a fifth of them for validation, as in the code of the book."""
    parameters = {
        "widths": asked.scale.pick(smoke=[10], quick=[50, 50], full=[100] * 6),
        "per_decade": asked.scale.pick(smoke=1, quick=6, full=6),
        "columns": asked.scale.pick(smoke=2, quick=4, full=6),
        "examples": 500,
        "epochs": asked.scale.pick(smoke=[1, 2], quick=[SHORT, LONG], full=[SHORT, LONG]),
        "searches": asked.scale.pick(smoke=20, quick=2000, full=20_000),
    }
    seeds = asked.seeds or asked.scale.pick(smoke=1, quick=3, full=5)
    return [Measurement("pool", measured, parameters, seed, asked.data) for seed in range(seeds)]


def compared(outcome: Outcome, pairs: list[tuple[str, str]]) -> tuple[bool | None, float, float]:
    """Whether the first ways are better than the second in every pool and over pools, and both mean accuracies."""
    differences, gains = [], []
    for pool in outcome.measured["pool"]:
        cells = [(pool["found"][a], pool["found"][b]) for a, b in pairs]
        gains.append(fmean(a[0] - b[0] for a, b in cells))
        differences.append(gains[-1] / (hypot(*(each for a, b in cells for each in (a[1], b[1]))) / len(cells) or 1e-9))
    means = [
        fmean(pool["found"][pair[side]][0] for pool in outcome.measured["pool"] for pair in pairs) for side in (0, 1)
    ]
    clear = any(all(sign * each > NOISE for each in differences) for sign in (1, -1))
    return (difference(gains).positive if clear else None), means[0], means[1]


def matter_differently(outcome: Outcome) -> Judged:
    """Whether the learning rate decides more than the weight decay."""
    rate, decay = zip(*(each["effects"] for each in outcome.measured["pool"]), strict=True)
    return judged(
        all(a > 3 * b for a, b in zip(rate, decay, strict=True)),
        f"Test accuracy varies by {100 * fmean(rate):.1f} points (standard deviation) over learning rates and by "
        f"{100 * fmean(decay):.1f} over weight decays.",
        rate=rate, decay=decay,
    )  # fmt: skip


def random_beats_grid(outcome: Outcome) -> Judged:
    """Whether random search ends higher than a grid, over all numbers of trials."""
    holds, ours, theirs = compared(outcome, [(f"book random {side}", f"book grid {side}") for side in SIDES])
    words = f"Mean test accuracy over 4, 9, 16 and 25 trials: {ours:.2%} at random, {theirs:.2%} on a grid."
    return judged(holds, words, random=ours, grid=theirs)


def log_beats_linear(outcome: Outcome, name: str) -> Judged:
    """Whether a logarithmic scale ends higher than a linear one in a range."""
    holds, ours, theirs = compared(outcome, [(f"{name} random {side}", f"{name} linear {side}") for side in SIDES])
    low, high = RANGES[name]
    words = f"From 10^{low:g} to 10^{high:g}: {ours:.2%} on the logarithmic scale, {theirs:.2%} on the linear one."
    return judged(holds, words, logarithmic=ours, linear=theirs)


def log_beats_linear_in_the_note(outcome: Outcome) -> Judged:
    """In the note's range."""
    return log_beats_linear(outcome, "note")


def log_beats_linear_in_the_book(outcome: Outcome) -> Judged:
    """In the book's range."""
    return log_beats_linear(outcome, "book")


def narrowing_beats_one_search(outcome: Outcome, name: str) -> Judged:
    """Whether narrowing ends higher than one random search of the same cost in a range."""
    holds, ours, theirs = compared(outcome, [(f"{name} narrowed", f"{name} random 4")])
    words = f"At the cost of 16 trials: {ours:.2%} with narrowing, {theirs:.2%} with one random search."
    return judged(holds, words, narrowed=ours, random=theirs)


def narrowing_in_the_note(outcome: Outcome) -> Judged:
    """In the note's range."""
    return narrowing_beats_one_search(outcome, "note")


def narrowing_in_the_book(outcome: Outcome) -> Judged:
    """In the book's range."""
    return narrowing_beats_one_search(outcome, "book")


def figures(outcome: Outcome) -> list[Panel]:
    """Accuracy over trials by way of searching, in both ranges; and accuracy over the learning rate."""
    pools = outcome.measured["pool"]
    trials = [side * side for side in SIDES]

    def mean(key: str) -> float:
        return fmean(pool["found"][key][0] for pool in pools)

    frames = []
    for name in RANGES:
        ways = [("grid", 0, "grid"), ("random", 1, "random"), ("linear", 2, "random, linear scale")]
        found = [
            lines.Line(said, trials, [mean(f"{name} {way} {side}") for side in SIDES], place)
            for way, place, said in ways
        ]
        found.append(lines.Line("narrowing, 16 trials' cost", [16], [mean(f"{name} narrowed")], 3, "points"))
        frames.append(lines.Frame(f"learning rates of the {name}", found))
    count = len(pools[0]["by_rate"])
    rates = [10 ** (POOL[0] + (POOL[1] - POOL[0]) * (place + 0.5) / count) for place in range(count)]
    by_rate = [lines.Line(f"pool {n}", rates, pool["by_rate"], n) for n, pool in enumerate(pools)]
    accuracy = lines.Axis("test accuracy", percent=True)
    return [
        drawn("search", lines, lines.info("What a search ends with", lines.Axis("trials"), accuracy, frames)),
        drawn("rates", lines, lines.info(
            "Accuracy by learning rate", lines.Axis("learning rate", log=True), accuracy, by_rate),
            "Mean over the weight decays. A pool is a set of networks, trained once, from which the searches draw."),
    ]  # fmt: skip


def table(outcome: Outcome) -> Table:
    """A row for each way of searching."""
    pools = outcome.measured["pool"]

    def cell(key: str) -> str:
        return f"{fmean(pool['found'][key][0] for pool in pools):.2%}" if key in pools[0]["found"] else "\N{EN DASH}"

    rows = [
        [name, way, *(cell(f"{name} {way} {side}") for side in SIDES)]
        for name in RANGES
        for way in ("grid", "random", "linear")
    ]
    rows += [
        [name, "narrowed", "\N{EN DASH}", "\N{EN DASH}", cell(f"{name} narrowed"), "\N{EN DASH}"] for name in RANGES
    ]
    return Table(
        "Mean test accuracy of the trial that is best on validation data, over many searches and all pools.",
        ["range", "search", *(f"{side * side} trials" for side in SIDES)],
        rows,
        text_columns=2,
    )


STUDY = Study(
    name="random-or-grid",
    title="Where hyper-parameters matter differently, random search is better than a grid",
    source="note 004 (hyper-parameter optimization); Bergstra and Bengio 2012; Deep Learning from Scratch, chapter 6.5",
    notes=("004",),
    claims=(
        Claim(
            "Hyper-parameters matter differently.",
            "test accuracy varies over learning rates at least three times as much as over weight decays, in each pool "
            "(three is ours)",
            matter_differently,
        ),
        Claim(
            "With equal trials random search is better than a grid.",
            "in every pool the mean over 4, 9, 16 and 25 trials is higher by more than four standard errors, and the "
            "95 % interval over the pools leaves out 0",
            random_beats_grid,
        ),
        Claim(
            "A logarithmic scale is better than a linear one, from 0.001 to 1,000, the note's example.",
            "likewise",
            log_beats_linear_in_the_note,
        ),
        Claim(
            "A logarithmic scale is better than a linear one, for learning rates from 10⁻⁶ to 10⁻², as in the book.",
            "likewise",
            log_beats_linear_in_the_book,
        ),
        Claim(
            "Narrowing the range in rounds of few epochs is better than one random search, from 0.001 to 1,000.",
            "likewise, at the cost of 16 trials",
            narrowing_in_the_note,
        ),
        Claim(
            "Narrowing the range in rounds of few epochs is better than one random search, from 10⁻⁶ to 10⁻².",
            "likewise, at the cost of 16 trials",
            narrowing_in_the_book,
        ),
    ),
    plan=plan,
    figures=figures,
    table=table,
    see="""Left, in the book's range, compare random search (blue) with a grid (vermilion) at equal trials. Right,
    in the note's range of six decades, compare the linear scale (green) with the logarithmic one (blue). The single
    point is narrowing, at the cost of 16 trials.""",
    why="""Where weight decays hardly change a network (first claim), only the learning rate counts. A grid of 4
    × 4 trials tries four learning rates, each with four weight decays that do not matter; 16 random trials try
    sixteen learning rates. If accuracy rises toward one end of the range, the nearest of n random values is on
    average 1/(n + 1) of the range away from it and the nearest of a grid with s values a side 1/(2s): 0.06 against
    0.13 for 16 trials.

    On a linear scale from 0.001 to 1,000, 999 of 1,000 values lie above 1, where training diverges. A logarithmic
    scale gives each power of ten the same share. But where the best rates lie at the upper end of
    a range, a linear scale puts most of its values there: the logarithmic scale helps where one does not know which
    power of ten is right.""",
    changes="""Narrowing helps where the best value lies inside the range; where it lies at an end, the best fifth
    of a sample can span a range that no longer contains it, and after few epochs small rates are all near chance.
    Parameters that matter equally: then a grid loses less. Many more trials: then every way finds the best. At
    quick scale the network is 784-50-50-10; the book's, with six layers of 100, is that of full scale.""",
    quick_seconds=60,
    full="784-100×6-10, 324 networks in each of 5 pools, 20,000 searches; 10 minutes",
    data="mnist",
    alternatives=("fashion-mnist", "digits"),
)
