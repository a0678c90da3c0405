"""Note 002: what the batch size does to steps, time, memory and accuracy."""

from __future__ import annotations

import math
from itertools import accumulate
from statistics import fmean, median

from normwise.figures import lines
from normwise.lab.panels import Panel
from normwise.lab.reproduction import curves
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.drawing import drawn, spread
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Measurement, Study, Training, Trial, judged
from normwise.lab.studies.shared.step_memory import memory
from normwise.records import RunRecord
from normwise.report import Table

EXAMPLES = {"mnist": 5000, "fashion-mnist": 5000, "digits": 1000}
FEATURES = {"mnist": 784, "fashion-mnist": 784, "digits": 64}
SIZES = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
QUICK = (10, 50, 200, 1000, 5000)

RATES = (0.05, 0.2, 0.8)
"""Ours: a large batch may take larger steps, so that each size has the best of three learning rates."""

GOAL = {"mnist": 0.9, "fashion-mnist": 0.75, "digits": 0.9}
"""Ours: a validation accuracy that a small network passes in a few epochs."""


def sizes(asked: Asked) -> list[int]:
    """The batch sizes up to all examples."""
    examples = EXAMPLES[asked.data]
    return [size for size in asked.scale.pick(smoke=(1000,), quick=QUICK, full=SIZES) if size < examples] + [examples]


def epochs(asked: Asked) -> int:
    """Epochs of every run."""
    return asked.scale.pick(smoke=2, quick=20, full=100)


def plan(asked: Asked) -> list[Trial]:
    """784-100-100-10 with ReLU and plain SGD; the note names no network."""
    rates = asked.scale.pick(smoke=RATES[1:2], quick=RATES, full=RATES)
    data = f"normwise.lab.studies.datasets.first_examples:{asked.data.replace('-', '_')}"
    arms = {f"{size}, {rate:g}": {"batch_size": size, "lr": rate} for size in sizes(asked) for rate in rates}
    options = {"model": "mlp:100x2", "activation": "relu", "inputs": "minmax", "epochs": epochs(asked)}
    kept = Measurement("memory", memory, {"sizes": sizes(asked), "features": FEATURES[asked.data]})
    return [Training(arms, data, asked.seeds or asked.scale.pick(smoke=1, quick=3, full=3), options), kept]


def by_size(outcome: Outcome) -> dict[int, tuple[RunRecord, ...]]:
    """By batch size the runs with the learning rate that ends with the best mean validation accuracy."""

    def best(size: int) -> tuple[RunRecord, ...]:
        arms = [runs for name, runs in outcome.runs.items() if name.startswith(f"{size}, ")]
        return max(arms, key=lambda runs: fmean(map(_last, runs)))

    return {size: best(size) for size in sizes(outcome.asked)}


def _last(run: RunRecord) -> float:
    return float(run.metrics[-1]["validation"]["accuracy"]) if (run.done or {})["status"] == "finished" else 0.0


def curve(run: RunRecord) -> tuple[list[float], list[float]]:
    """Seconds of training until each measurement, without measuring, and the validation accuracy there."""
    laps = accumulate(line.get("train", 0.0) for line in run.timing)
    at = dict(zip((line["step"] for line in run.timing), laps, strict=True))
    return [at[line["step"]] for line in run.metrics], curves.curve(run).values


def steps_per_epoch(outcome: Outcome) -> dict[int, float]:
    """Steps of a run, divided by its epochs."""
    return {size: runs[0].settings["steps"] / epochs(outcome.asked) for size, runs in by_size(outcome).items()}


def epoch_seconds(outcome: Outcome) -> dict[int, float]:
    """Seconds of training per epoch, the median over the runs."""
    count = epochs(outcome.asked)
    return {size: median(curve(run)[0][-1] / count for run in runs) for size, runs in by_size(outcome).items()}


def seconds_to_goal(outcome: Outcome) -> dict[int, list[float]]:
    """Seconds of training until the goal is first measured, of each run; ∞ where it never is."""
    goal = GOAL[outcome.asked.data]
    return {
        size: [next((at for at, value in zip(*curve(run), strict=True) if value >= goal), math.inf) for run in runs]
        for size, runs in by_size(outcome).items()
    }


def at_equal_time(outcome: Outcome) -> tuple[float, dict[int, list[float]]]:
    """The time in which the quickest size makes its epochs, and the accuracies that each run has by then."""
    timed = {size: [curve(run) for run in runs] for size, runs in by_size(outcome).items()}
    budget = min(median(seconds[-1] for seconds, _ in each) for each in timed.values())
    return budget, {
        size: [[value for at, value in zip(*each, strict=True) if at <= budget][-1] for each in runs]
        for size, runs in timed.items()
    }


def steps_are_counted(outcome: Outcome) -> Judged:
    """Whether an epoch has examples / batch size steps."""
    found, examples = steps_per_epoch(outcome), EXAMPLES[outcome.asked.data]
    said = ", ".join(f"{steps:g} with {size:,}" for size, steps in found.items())
    words = f"{examples:,} examples are, in steps per epoch: {said}. By the same division 1,000 in tens are 100."
    return judged(all(steps == examples // size for size, steps in found.items()), words, steps=list(found.values()))


def epochs_are_shorter(outcome: Outcome) -> Judged:
    """Whether an epoch takes less time with a larger batch."""
    found = epoch_seconds(outcome)
    small, large = min(found), max(found)
    words = f"An epoch takes {found[small]:.3f} s in batches of {small:,} and {found[large]:.3f} s in one of {large:,}."
    return judged(found[small] >= 2 * found[large], words, seconds=list(found.values()))


def goal_is_sooner(outcome: Outcome) -> Judged:
    """Whether the largest batch reaches an accuracy sooner than the smallest; a run may never do so."""
    found = seconds_to_goal(outcome)
    small, large = found[min(found)], found[max(found)]
    spent = [curve(run)[0][-1] for run in by_size(outcome)[max(found)]]
    holds = True if max(large) < min(small) else False if max(small) < min(map(min, large, spent)) else None
    first = min(found, key=lambda size: median(found[size]))
    words = (
        f"Until {GOAL[outcome.asked.data]:.0%}: {_seconds(median(small))} of training with {min(found):,}, "
        f"{_seconds(median(large))} with {max(found):,} (in {median(spent):.2f} s of training), and "
        f"{_seconds(median(found[first]))} with {first:,}, the soonest."
    )
    return judged(holds, words, seconds={str(size): list(map(_seconds, each)) for size, each in found.items()})


def memory_grows(outcome: Outcome) -> Judged:
    """Whether what a step keeps is proportional to the batch."""
    found = outcome.measured["memory"][0]
    each = [kept / size for kept, size in zip(found["bytes"], found["sizes"], strict=True)]
    words = (
        f"A step keeps {min(each) / 1e3:.2f} to {max(each) / 1e3:.2f} kB per example: {found['bytes'][0] / 1e6:.2f} MB "
        f"for {found['sizes'][0]:,} and {found['bytes'][-1] / 1e6:.1f} MB for {found['sizes'][-1]:,}."
    )
    return judged(max(each) < 1.05 * min(each), words, bytes=found["bytes"], sizes=found["sizes"])


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if math.isfinite(value) else "never"


def figures(outcome: Outcome) -> list[Panel]:
    """Accuracy over time, and accuracy at equal epochs and at equal time."""
    accuracy, size = lines.Axis("validation accuracy", percent=True), lines.Axis("examples in a batch", log=True)
    runs, (budget, timed) = by_size(outcome), at_equal_time(outcome)
    over_time = [
        lines.Line(f"{each:,}", seconds[1:], values[1:], place)
        for place, (each, (first, *_)) in enumerate(runs.items()) for seconds, values in [curve(first)]
    ]  # fmt: skip
    by = [
        lines.Line("at equal epochs", tuple(runs), [fmean(map(_last, each)) for each in runs.values()], 0),
        lines.Line(f"after {budget:.2g} s of training", tuple(timed), [fmean(each) for each in timed.values()], 1),
    ]
    clock = lines.Axis("seconds of training", log=True)
    frames = [lines.Frame("", over_time, [lines.Level(GOAL[outcome.asked.data], "")])]
    ends = lines.info("At equal epochs and at equal time, mean over the seeds", size, accuracy, by)
    return [
        drawn("time", lines, lines.info("Accuracy over training time, by batch size", clock, accuracy, frames)),
        drawn("accuracy", lines, ends),
    ]


def table(outcome: Outcome) -> Table:
    """A row per batch size."""
    steps, seconds, goal = steps_per_epoch(outcome), epoch_seconds(outcome), seconds_to_goal(outcome)
    budget, timed = at_equal_time(outcome)
    kept = dict(zip(*(outcome.measured["memory"][0][key] for key in ("sizes", "bytes")), strict=True))
    rows = [
        [f"{size:,}", f"{runs[0].settings['lr']:g}", f"{steps[size]:,.0f}", f"{seconds[size]:.3f} s",
         f"{kept[size] / 1e6:.2f} MB", spread([_last(run) for run in runs], percent=True),
         spread(timed[size], percent=True), _seconds(median(goal[size]))]
        for size, runs in by_size(outcome).items()
    ]  # fmt: skip
    caption = (
        f"Validation accuracy after all epochs and after {budget:.2g} s, and the time until it is "
        f"{GOAL[outcome.asked.data]:.0%}; mean ± standard deviation, or median, over the seeds. Times are of training."
    )
    columns = ("batch", "rate", "steps per epoch", "epoch", "kept", "after all epochs", "at equal time", "to the goal")
    return Table(caption, columns, rows)


STUDY = Study(
    name="batch-size",
    title="What the batch size does to steps, time, memory and accuracy",
    source="note 002 (batch size)",
    notes=("002", "003"),
    claims=(
        Claim(
            "An epoch has as many steps as the batch size goes into the number of examples: 1,000 in tens are 100.",
            "exactly, for every batch size; this is arithmetic, which only an error in our counting could make fail",
            steps_are_counted,
        ),
        Claim(
            "A larger batch makes training faster, as time per epoch.",
            "in batches of ten it takes at least twice as long (ours) as with all examples at once; medians over seeds",
            epochs_are_shorter,
        ),
        Claim(
            "A larger batch makes training faster, as time until an accuracy is reached.",
            "all examples at once are sooner in every run than batches of ten in any; runs that overlap are undecided",
            goal_is_sooner,
        ),
        Claim(
            "Memory grows with the batch, so that a smaller batch helps where it is short.",
            "what a step keeps for the backward pass is proportional to the batch within 5 %; this is arithmetic, too, "
            "since every kept tensor has a row for each example",
            memory_grows,
        ),
    ),
    plan=plan,
    figures=figures,
    table=table,
    see="""A line is a run with one batch size, at the best of three learning rates; the dotted line is the goal.
    Look at which batch sizes pass it first, and where all examples at once (the last color) are by then.""",
    why="""A step costs a fixed time, for calling operations and updating weights, and a time for each example. A
    large batch pays the fixed part less often, so an epoch gets shorter. But the weights move once a step: the
    error of a gradient of 10 examples falls only with the square root of their number, so that many rough steps can
    get further than one.

    The backward pass needs what each layer took in and put out, for every example of the batch: about 4 kB each
    here (784 inputs, two layers of 100 and ten outputs, 4 bytes a number). So the note's advice is right: where
    memory is short, lower the batch size.""",
    changes="""The machine: a GPU works on thousands of examples at once, so its best batch is larger. The memory of a
    process also holds data, weights and libraries; what is counted here is what the batch adds.""",
    quick_seconds=30,
    full="nine batch sizes, 100 epochs, 3 seeds; 10 minutes",
    data="mnist",
    alternatives=("fashion-mnist", "digits"),
)
