"""Note 002: inputs of very different scales make training unstable and slow, and scaling them mends that."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from normwise.figures import lines
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.curves import curve
from normwise.lab.reproduction.drawing import drawn, spread
from normwise.lab.reproduction.judging import every, less, unanimous
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Study, Training, judged
from normwise.records import RunRecord
from normwise.report import Table

SETS = {"cars": ("normwise.lab.studies.datasets.cars:cars", "two"), "diabetes": ("diabetes", "ten")}
"""The made-up cars, whose features differ by 10⁴ as in the note's example, and a table of patients, unscaled."""

INPUTS: dict[str, Mapping[str, Any]] = {
    "raw": {"inputs": "raw"},
    "BN on inputs": {"inputs": "raw"},
    "0 to 1": {"inputs": "minmax"},
    "standardized": {"inputs": "standard"},
    "raw, BN in hidden layers": {"inputs": "raw", "norm": "batch"},
}
"""In the order of their colors: plain and batch normalization have theirs in every study."""

RATES = tuple(10.0**power for power in range(-12, 1))
"""Ours: every arm has the same list, wide enough that the best of each arm lies inside."""

REACHED = 0.9
"""Ours: an arm has learned once its R² is nine tenths of the best arm's."""

SAME = 0.03
"""Ours: R² that differ by less are about the same; seeds differ by about 0.01."""


def plan(asked: Asked) -> list[Training]:
    """Plain SGD at every learning rate; the network and the steps are ours, as the note has a drawing only."""
    rates = asked.scale.pick(smoke=(0.1,), quick=RATES, full=RATES)
    steps = asked.scale.pick(smoke=10, quick=500, full=5000)
    seeds = asked.seeds or asked.scale.pick(smoke=1, quick=3, full=5)
    return [_training(data, how, rates, seeds, steps) for data in SETS for how in INPUTS]


def _training(data: str, how: str, rates: Sequence[float], seeds: int, steps: int) -> Training:
    source, features = SETS[data]
    options: dict[str, Any] = {"targets": "standard", "batch_size": 50, "steps": steps, "eval_every": steps // 10}
    if how == "BN on inputs":
        options["model"] = f"normwise.lab.studies.networks.normalized_inputs:{features}"
    else:
        options |= {"model": "mlp:32x2", "activation": "relu"}
    arms = {_arm(data, how, rate): {**INPUTS[how], "lr": rate} for rate in rates}
    return Training(arms, source, seeds, options)


def _arm(data: str, how: str, rate: float) -> str:
    return f"{data}, {how}, {rate:g}"


def runs(outcome: Outcome, data: str, how: str) -> dict[float, tuple[RunRecord, ...]]:
    """The runs of one way of scaling by learning rate."""
    found = {rate: outcome.runs.get(_arm(data, how, rate), ()) for rate in RATES}
    return {rate: each for rate, each in found.items() if each}


def last(run: RunRecord, part: str = "validation") -> float:
    """R² at the end of a run; −∞ where it diverged."""
    value = run.metrics[-1][part]["r2"] if (run.done or {}).get("status") == "finished" else None
    return -math.inf if value is None else float(value)


def best(outcome: Outcome, data: str, how: str) -> float:
    """The learning rate that ends with the largest mean R² on validation data."""
    rates = runs(outcome, data, how)
    return max(rates, key=lambda rate: fmean(last(run) for run in rates[rate]))


def at_best(outcome: Outcome, data: str, how: str) -> tuple[RunRecord, ...]:
    """The runs with that learning rate."""
    return runs(outcome, data, how)[best(outcome, data, how)]


def tests(outcome: Outcome, data: str, how: str) -> list[float]:
    """R² on test data of those runs."""
    return [last(run, "test") for run in at_best(outcome, data, how)]


def steps_needed(outcome: Outcome, data: str, how: str) -> list[float]:
    """Of each run at its arm's best rate, the measured step from which on it has learned; ∞ where it never has."""
    goal = REACHED * max(fmean(map(last, at_best(outcome, data, one))) for one in INPUTS)
    return [
        next((float(step) for step, value in zip(*curve(run, what="r2"), strict=True) if value >= goal), math.inf)
        for run in at_best(outcome, data, how)
    ]


def raw_is_unstable(outcome: Outcome) -> Judged:
    """Whether raw inputs learn nothing at the learning rate that suits inputs from 0 to 1."""
    ends = {data: [last(run) for run in runs(outcome, data, "raw")[best(outcome, data, "0 to 1")]] for data in SETS}
    lost = {data: sum(value < 0.1 for value in each) for data, each in ends.items()}
    said = [
        f"{data}: at {best(outcome, data, '0 to 1'):g}, the best rate from 0 to 1, {lost[data]} of {len(ends[data])} "
        "runs with raw inputs diverge or end with R² below 0.1"
        for data in SETS
    ]
    holds = every(unanimous([value < 0.1 for value in each]) for each in ends.values())
    return judged(holds, "; ".join(said) + ".", lost=lost)


def raw_is_slow(outcome: Outcome) -> Judged:
    """Whether raw inputs need at least twice the steps, each at its own best learning rate."""
    needed = [(min(steps_needed(outcome, data, "raw")), max(steps_needed(outcome, data, "0 to 1"))) for data in SETS]
    said = [f"{data}: {_steps(a)} raw, {_steps(b)} from 0 to 1" for data, (a, b) in zip(SETS, needed, strict=True)]
    holds = None if any(b == math.inf for _, b in needed) else all(a >= 2 * b for a, b in needed)
    words = f"{'; '.join(said)} (the quickest raw run, and the slowest of the others)."
    return judged(holds, words, steps=[[_steps(a), _steps(b)] for a, b in needed])


def scaling_mends_it(outcome: Outcome) -> Judged:
    """Whether each run with scaled inputs learns."""
    arms = [(data, how) for data in SETS for how in ("0 to 1", "standardized")]
    slowest = {f"{data}, {how}": max(steps_needed(outcome, data, how)) for data, how in arms}
    said = {name: _steps(value) for name, value in slowest.items()}
    words = "; ".join(f"{name}: {value}" for name, value in said.items()) + " (the slowest run of each)."
    return judged(all(map(math.isfinite, slowest.values())), words, steps=said)


def bn_does_the_same(outcome: Outcome) -> Judged:
    """Whether batch normalization of the inputs ends where standardizing them ends."""
    ours = {data: fmean(tests(outcome, data, "BN on inputs")) for data in SETS}
    theirs = {data: fmean(tests(outcome, data, "standardized")) for data in SETS}
    said = [f"{data}: R² {ours[data]:.3f} with BN, {theirs[data]:.3f} standardized" for data in SETS]
    apart = [less(tests(outcome, data, "BN on inputs"), tests(outcome, data, "standardized")) for data in SETS]
    close = every(each.within(SAME) for each in apart)
    words = f"{'; '.join(said)}, on test data."
    return judged(close, words, bn=ours, standardized=theirs, intervals=[each.interval for each in apart])


def _steps(value: float) -> str:
    return f"{value:,.0f} steps" if math.isfinite(value) else "never"


def figures(outcome: Outcome) -> list[Panel]:
    """R² at the end over the learning rate, and R² over the steps at each arm's best learning rate."""
    over_rates = [lines.Frame(data, [_over_rates(outcome, data, how) for how in INPUTS]) for data in SETS]
    over_steps = [
        lines.Frame(data, [line for how in INPUTS for line in _over_steps(outcome, data, how)]) for data in SETS
    ]
    y = lines.Axis("R² on validation data, 1 is perfect", limits=(-0.3, 1.03))
    rate, step = lines.Axis("learning rate", log=True), lines.Axis("training step")
    return [
        drawn("rates", lines, lines.info("R² at the end, by learning rate", rate, y, over_rates)),
        drawn("steps", lines, lines.info("R² over training", step, y, over_steps), "At the best rates, all seeds."),
    ]


def _over_rates(outcome: Outcome, data: str, how: str) -> lines.Line:
    found = runs(outcome, data, how)
    ends = [fmean(map(last, each)) for each in found.values()]
    y = [value if math.isfinite(value) else math.nan for value in ends]
    return lines.Line(how, tuple(found), y, *_look(how))


def _over_steps(outcome: Outcome, data: str, how: str) -> list[lines.Line]:
    return [lines.Line(how, *curve(run, what="r2"), *_look(how)) for run in at_best(outcome, data, how)]


def _look(how: str) -> tuple[int, lines.Look]:
    return list(INPUTS).index(how), "dashed" if "hidden" in how else "solid"


def table(outcome: Outcome) -> Table:
    """A row per data set and way of scaling."""
    rows = []
    for data in SETS:
        for how in INPUTS:
            needed = steps_needed(outcome, data, how)
            there = runs(outcome, data, how)
            lost = sum(last(run) == -math.inf for each in there.values() for run in each)
            rows.append(
                [data, how, f"{best(outcome, data, how):g}", spread(tests(outcome, data, how), 3),
                 _steps(max(needed)), f"{lost} of {sum(map(len, there.values()))}"]
            )  # fmt: skip
    caption = (
        "At the learning rate that is best on validation data: R² on test data (mean ± standard deviation over the "
        "seeds) and the steps until the slowest run has nine tenths of the best R²; runs at all learning rates that "
        "diverged."
    )
    return Table(caption, ["data", "inputs", "learning rate", "test R²", "steps", "diverged"], rows, text_columns=2)


STUDY = Study(
    name="input-scaling",
    title="Inputs of very different scales: raw, scaled, and batch-normalized",
    source="note 002 (batch size and batch norm: miles driven and age)",
    notes=("002", "003"),
    claims=(
        Claim(
            "Features of very different scales make training unstable.",
            "at the learning rate that is best for inputs from 0 to 1, every run with raw inputs diverges or ends with "
            "R² below 0.1, next to nothing; in both data sets",
            raw_is_unstable,
        ),
        Claim(
            "Features of very different scales make training slow.",
            "each at its own best learning rate, the quickest raw run needs at least twice the steps of the slowest "
            "run with inputs from 0 to 1 to reach nine tenths of the best R² (twice is more than seeds differ); in "
            "both data sets",
            raw_is_slow,
        ),
        Claim(
            "Scaling to 0 to 1, or standardizing, makes training quick and removes the trouble.",
            "at its own best learning rate every run reaches nine tenths of the best R²; in both data sets",
            scaling_mends_it,
        ),
        Claim(
            "Batch normalization of the inputs does the same as standardizing them.",
            "the 95 % interval over the seeds of the difference in R² on test data lies within 0.03 (seeds differ by "
            "about 0.01), each at its own best learning rate; in both data sets",
            bn_does_the_same,
        ),
    ),
    plan=plan,
    figures=figures,
    table=table,
    see="""Where a line ends, runs diverged: compare at which learning rates that is with raw inputs (vermilion) and
    with scaled ones. Then compare how high each line comes, each at its own best rate.""",
    why="""The gradient of a first-layer weight is proportional to its input, and how sharply the loss curves in
    that weight to the input's mean square: 1.3·10¹⁰ for miles up to 200,000, 133 for years up to 20. Gradient
    descent is stable only below a rate of 2 over the largest curvature, which the miles decide; that rate is about
    10⁸ times too small for the weights of the years. No single rate suits both. Scaled inputs have mean squares of
    about 1.

    Batch normalization of the inputs is standardizing with each batch's mean and variance, so it ends at the same
    place. In the hidden layers only (dashed), it keeps training stable but comes too late: a hidden unit has
    already added miles and years, and the years' part is 10⁻⁴ of the sum. On the cars the miles alone
    explain an R² of 0.284 (from the formula of the prices): a network that comes no further has not seen the years.""",
    changes="""Scales that differ less: the ranges of diabetes go from 1 to about 200, so that raw inputs may get
    further there. The cars are made by a formula, 30·exp(−miles/150,000)·exp(−years/10) thousand dollars with noise
    of 0.5; the patients are real.""",
    quick_seconds=45,
    full="5,000 steps, 5 seeds; 10 minutes",
)
