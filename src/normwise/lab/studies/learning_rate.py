"""Section 3.3 and Bjorck et al. 2018: the range of learning rates over which training works, with and without BN."""

from __future__ import annotations

from math import log10
from statistics import fmean, median

from normwise.figures import lines
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.drawing import drawn, spread
from normwise.lab.reproduction.judging import PAIRED, every, less
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Study, Training, judged
from normwise.records import RunRecord
from normwise.report import Table

ARMS = {"plain": {}, "bn": {"norm": "batch"}}

RATES = tuple(float(f"{10 ** (half / 2):.2g}") for half in range(-8, 5))
"""From 10⁻⁴ to 10², two a decade."""

WORKS = 0.9
"""The test accuracy at its end from which a run counts as one that worked; ours."""

GUESSING = 0.1
"""The accuracy that counts for a run that diverged: that of guessing among ten classes."""

DECADE = 0.9
"""Two steps of the grid, 1, less its rounding: an end of a range is known to one step."""

NEAR = 0.02
"""Accuracies that are about the same: those of Bjorck et al. at one small rate are 0.6 points apart in a band of 2."""


def plan(asked: Asked) -> list[Training]:
    """Five hidden layers of 100 ReLU units with He's weights and plain gradient descent, at every rate."""
    rates = asked.scale.pick(smoke=(0.001, 0.1, 10.0), quick=RATES, full=RATES)
    steps = asked.scale.pick(smoke=10, quick=1000, full=10_000)
    options = {
        "model": "mlp:100x5", "activation": "relu", "init": "he", "lr": rates,
        "steps": steps, "eval_every": asked.scale.pick(smoke=steps, quick=steps // 5, full=steps // 5),
    }  # fmt: skip
    seeds = asked.seeds or asked.scale.pick(smoke=1, quick=3, full=3)
    whole = asked.scale.pick(smoke=(), quick=("test",), full=("test",))
    return [Training(ARMS, asked.data, seeds, options, whole)]


def by_rate(outcome: Outcome, arm: str) -> dict[float, list[RunRecord]]:
    """The runs of an arm at each learning rate, from the smallest."""
    found: dict[float, list[RunRecord]] = {}
    for run in sorted(outcome.runs[arm], key=lambda run: float(run.settings["lr"])):
        found.setdefault(run.settings["lr"], []).append(run)
    return found


def _at_the_end(run: RunRecord) -> float:
    """Test accuracy at the last measurement; that of guessing for a run that diverged."""
    diverged = (run.done or {}).get("status") == "diverged"
    return GUESSING if diverged else float(run.metrics[-1]["test"]["accuracy"])


def ends(outcome: Outcome, arm: str) -> dict[float, list[float]]:
    """By rate, the test accuracy at the end of each run."""
    return {rate: [_at_the_end(run) for run in runs] for rate, runs in by_rate(outcome, arm).items()}


def working(outcome: Outcome, arm: str) -> list[float]:
    """The rates at which the median run ends with a test accuracy of at least ``WORKS``."""
    return [rate for rate, values in ends(outcome, arm).items() if median(values) >= WORKS]


def _open(outcome: Outcome, arm: str, end: int) -> bool:
    """Whether the smallest (0) or largest (−1) rate that was tried works, so that the range may go on from there."""
    return list(ends(outcome, arm))[end] in working(outcome, arm)


def _said(outcome: Outcome) -> str:
    """Beyond which ends of the grid a range may go on."""
    names, which = {"plain": "without BN", "bn": "with BN"}, {0: "smallest", -1: "largest"}
    found = [f"the {which[end]} rate tried works {names[arm]}" for arm in names for end in which
             if _open(outcome, arm, end)]  # fmt: skip
    return f" But {' and '.join(found)}: the range may go on there." if found else ""


def is_wider(outcome: Outcome) -> Judged:
    """Whether the working rates span at least a decade more with BN."""
    rates = {arm: working(outcome, arm) for arm in ARMS}
    if not all(rates.values()):
        return judged(None, f"No rate gave {100 * WORKS:.0f} % for one of the networks.", **rates)
    decades = {arm: log10(max(each) / min(each)) for arm, each in rates.items()}
    more = decades["bn"] - decades["plain"]
    bounded = {arm: not _open(outcome, arm, 0) and not _open(outcome, arm, -1) for arm in ARMS}
    return judged(
        True if more >= DECADE and bounded["plain"] else False if more <= -DECADE and bounded["bn"] else None,
        f"Rates from {min(rates['bn']):g} to {max(rates['bn']):g} work with BN, {decades['bn']:.1f} decades, and from "
        f"{min(rates['plain']):g} to {max(rates['plain']):g} without, {decades['plain']:.1f} decades.{_said(outcome)}",
        **rates,
    )


def reaches_higher(outcome: Outcome) -> Judged:
    """Whether the largest working rate is at least ten times as large with BN."""
    rates = {arm: working(outcome, arm) for arm in ARMS}
    if not all(rates.values()):
        return judged(None, f"No rate gave {100 * WORKS:.0f} % for one of the networks.", **rates)
    largest = {arm: max(each) for arm, each in rates.items()}
    factor = largest["bn"] / largest["plain"]
    bounded = {arm: not _open(outcome, arm, -1) for arm in ARMS}
    return judged(
        True if factor >= 9 and bounded["plain"] else False if factor <= 1 and bounded["bn"] else None,
        f"The largest rate that works is {largest['bn']:g} with BN and {largest['plain']:g} without: "
        f"{factor:.3g} times as large.{_said(outcome)}",
        **largest,
    )


def is_the_same_at_small_rates(outcome: Outcome) -> Judged:
    """Whether both networks have about the same accuracy at the small rates at which both work."""
    both = sorted(set(working(outcome, "bn")) & set(working(outcome, "plain")))
    small = [rate for rate in both if rate <= max(both) / 9]
    if not small:
        return judged(None, "There is no rate at which both networks work, a tenth of the largest such rate or less.")
    gains = {rate: less(ends(outcome, "bn")[rate], ends(outcome, "plain")[rate]) for rate in small}
    return judged(
        every(gain.within(NEAR) for gain in gains.values()),
        f"With BN less without, test accuracy is {', '.join(f'{gain} at {rate:g}' for rate, gain in gains.items())}.",
        **{f"{rate:g}": gain.mean for rate, gain in gains.items()},
    )


def best_rate(outcome: Outcome, arm: str) -> float:
    """The rate with the best mean validation accuracy."""
    found = {
        rate: fmean(run.best["validation"]["accuracy"] if run.best else 0.0 for run in runs)
        for rate, runs in by_rate(outcome, arm).items()
    }
    return max(found, key=lambda rate: found[rate])


def best_tests(outcome: Outcome, arm: str) -> list[float]:
    """Test accuracy on the whole test part at that rate, by seed."""
    runs = by_rate(outcome, arm)[best_rate(outcome, arm)]
    return [run.best["test"]["accuracy"] if run.best else GUESSING for run in runs]


def wins_at_a_larger_rate(outcome: Outcome) -> Judged:
    """Whether BN's best rate is larger and gives a better accuracy."""
    rates = {arm: best_rate(outcome, arm) for arm in ARMS}
    tests = {arm: best_tests(outcome, arm) for arm in ARMS}
    gain = less(tests["bn"], tests["plain"])
    return judged(
        gain.positive if rates["bn"] > rates["plain"] else False,
        f"Validation data choose {rates['bn']:g} with BN and {rates['plain']:g} without; test accuracy there is "
        f"{spread(tests['bn'], 2, percent=True)} and {spread(tests['plain'], 2, percent=True)}: {gain}.",
        rates=rates, tests=tests, interval=gain.interval,
    )  # fmt: skip


def figures(outcome: Outcome) -> list[Panel]:
    """Test accuracy at the end over the learning rate."""
    found = []
    for place, (arm, name) in enumerate({"plain": "without BN", "bn": "with BN"}.items()):
        values = ends(outcome, arm)
        low, high = [min(each) for each in values.values()], [max(each) for each in values.values()]
        found.append(
            lines.Line(name, list(values), [median(each) for each in values.values()], place, low=low, high=high)
        )
    x = lines.Axis("learning rate", log=True)
    y = lines.Axis("test accuracy at the end", percent=True, limits=(0, 1))
    frame = lines.Frame("", found[::-1], [lines.Level(WORKS, "90 %: works")])
    return [drawn("rates", lines, lines.info("Accuracy over the learning rate", x, y, [frame]))]


def table(outcome: Outcome) -> Table:
    """Test accuracy at the end at each rate, and runs that diverged."""
    runs = {arm: by_rate(outcome, arm) for arm in ARMS}
    values = {arm: ends(outcome, arm) for arm in ARMS}
    rows = [
        [f"{rate:g}", *(cell for arm in ("bn", "plain") for cell in _cells(values[arm][rate], runs[arm][rate]))]
        for rate in runs["bn"]
    ]
    said = "Test accuracy at the end, mean ± standard deviation over the seeds; one that diverged counts as guessing."
    return Table(said, ["learning rate", "with BN", "diverged", "without BN", "diverged"], rows)


def _cells(values: list[float], runs: list[RunRecord]) -> list[str]:
    diverged = sum((run.done or {}).get("status") == "diverged" for run in runs)
    return [spread(values, percent=True), f"{diverged} of {len(runs)}"]


STUDY = Study(
    name="learning-rate",
    title="The range of learning rates over which training works, with batch normalization and without",
    source="Ioffe and Szegedy 2015, section 3.3; Bjorck et al. 2018",
    notes=("000", "003"),
    claims=(
        Claim(
            "BN allows much higher learning rates (Ioffe and Szegedy).",
            "the largest rate at which the median run ends with at least 90 % of the test data right is ten times as "
            "large or more, two steps of the grid; the paper raises its rate by 5 and by 30. One step more decides "
            "nothing, as the largest is known to one step only, nor does a grid whose end still works",
            reaches_higher,
        ),
        Claim(
            "The range of learning rates over which training works is wider with BN.",
            "at least one decade wider, two steps of the grid; less than a decade wider or narrower decides nothing, "
            "as each end of both ranges is known to one step, nor does a grid whose end still works",
            is_wider,
        ),
        Claim(
            "At one and the same small rate, accuracy is about the same with and without BN (Bjorck et al.).",
            "within 2 points, with the 95 % interval over the seeds, at every rate at which both work and that is at "
            "most a tenth of the largest such rate; theirs are 0.6 points apart in a band of 2",
            is_the_same_at_small_rates,
        ),
        Claim(
            "BN is better because it allows a larger rate (Bjorck et al.).",
            "validation data choose a larger rate for BN, and test accuracy there, each at its own rate, is higher: "
            f"{PAIRED}",
            wins_at_a_larger_rate,
        ),
    ),
    plan=plan,
    figures=figures,
    table=table,
    see="""Each point is a learning rate, the line the median run and the band the range of the seeds. Where a line
    is above 90 % training works. Compare where the two lines fall off at the right; at the left, small rates need
    more steps.""",
    why="""Too large a step makes the weights of a plain network large, which makes the outputs of every later layer
    large, and the gradients with them, so that the next step is larger still: it diverges, or its units die.

    With BN a layer's output does not depend on the scale of its weights, and the gradient with respect to weights that
    are a times as large is a times smaller (section 3.3). A step that was too large therefore makes the next ones
    relatively smaller: training brakes by itself.""",
    changes="""More steps let smaller rates work, with and without BN: the left end moves. Smaller initial weights, more
    layers or a saturating nonlinearity make it harder for the plain network. An optimizer that divides by the size of
    the gradient, such as Adam, evens part of it out.""",
    quick_seconds=60,
    full="10,000 steps at each of 13 rates, 3 seeds; 8 minutes",
    data="mnist",
    alternatives=("fashion-mnist", "digits"),
)
