"""Note 004: hyper-parameters that are chosen on test data look better than they are."""

from __future__ import annotations

from math import hypot
from statistics import fmean

from normwise.figures import lines
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.drawing import drawn
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Measurement, Study, judged
from normwise.lab.studies.shared.choosing import CANDIDATES, SIZES, measured
from normwise.report import Table

NOISE = 4.0
"""Standard errors that count as more than noise: with this many comparisons, three would be passed by chance."""


def plan(asked: Asked) -> list[Measurement]:
    """A measurement per pool of candidates: learning rate and weight decay at random, 784-30-10, few examples."""
    parameters = {
        "trained": asked.scale.pick(smoke=100, quick=500, full=500),
        "epochs": asked.scale.pick(smoke=1, quick=30, full=100),
        "draws": asked.scale.pick(smoke=20, quick=2000, full=20_000),
    }
    seeds = asked.seeds or asked.scale.pick(smoke=1, quick=3, full=10)
    return [Measurement("search", measured, parameters, seed, asked.data) for seed in range(seeds)]


def mean(outcome: Outcome, key: str, size: int) -> list[tuple[float, float]]:
    """Mean over the pools, with its standard error, by number of candidates."""
    pools = [each["found"][str(size)] for each in outcome.measured["search"]]
    cells = [[pool[place][key] for pool in pools] for place in range(len(CANDIDATES))]
    return [(fmean(a for a, _ in each), hypot(*(b for _, b in each)) / len(each)) for each in cells]


def looks_better(outcome: Outcome) -> Judged:
    """Whether the score on the data that chose is too good."""
    found = {size: mean(outcome, "test", size) for size in SIZES}
    words = "; ".join(f"{size:,} examples: {_points(*each[-1])}" for size, each in found.items())
    excess = [cell for each in found.values() for cell in each[1:]]
    more, none = all(value > NOISE * error for value, error in excess), any(value <= 0 for value, _ in excess)
    return judged(
        True if more else False if none else None,
        f"The best of {CANDIDATES[-1]} on test data scores above its true accuracy by, on sets of {words}.",
        bias={str(size): each for size, each in found.items()},
    )


def grows(outcome: Outcome) -> Judged:
    """Whether more candidates make it worse."""
    found = {size: mean(outcome, "test", size) for size in SIZES}
    rises = [(b - a, hypot(c, d)) for each in found.values() for (a, c), (b, d) in [(each[1], each[-1])]]
    holds = all(rise > NOISE * error for rise, error in rises)
    falls = any(rise < -NOISE * error for rise, error in rises)
    said = ", ".join(
        f"{100 * value:.2f} with {one}" for one, (value, _) in zip(CANDIDATES, found[SIZES[0]], strict=True)
    )
    return judged(
        True if holds else False if falls or not any(rise > NOISE * error for rise, error in rises) else None,
        f"On sets of {SIZES[0]}, in points: {said} candidates.",
        rises=rises,
    )


def validation_is_fair(outcome: Outcome) -> Judged:
    """Whether the score is unbiased where other data chose."""
    found = [each for size in SIZES for each in mean(outcome, "validation", size)]
    worst = max(found, key=lambda each: abs(each[0]) / each[1])
    return judged(
        all(abs(value) <= NOISE * error for value, error in found),
        f"Chosen on validation data, the score on test data is off by at most {abs(worst[0]) / worst[1]:.1f} standard "
        f"errors ({_points(*worst)}), over all numbers of candidates and sizes.",
        worst=worst,
    )


def choice_is_worse(outcome: Outcome) -> Judged:
    """Whether what test data chose is truly worse than what as many validation examples chose."""
    ours, theirs = ({size: mean(outcome, key, size)[-1] for size in SIZES} for key in ("true", "other"))
    worse = [theirs[size][0] - ours[size][0] > NOISE * hypot(theirs[size][1], ours[size][1]) for size in SIZES]
    said = "; ".join(f"{size:,} examples: {ours[size][0]:.2%} and {theirs[size][0]:.2%}" for size in SIZES)
    chance = mean(outcome, "true", SIZES[0])[0][0]
    return judged(
        all(worse) if all(worse) or not any(worse) else None,
        f"True accuracy of the best of {CANDIDATES[-1]} by test data and by as many validation data: {said}. A "
        f"candidate at random has {chance:.2%}.",
        test=list(ours.values()), validation=list(theirs.values()), random=chance,
    )  # fmt: skip


def _points(value: float, error: float) -> str:
    return f"{100 * value:+.2f} ± {100 * error:.2f} points"


def figures(outcome: Outcome) -> list[Panel]:
    """The bias over the number of candidates."""
    found = []
    looks: tuple[tuple[str, str, lines.Look], ...] = (
        ("test", "the same that chose", "solid"),
        ("validation", "others", "dashed"),
    )
    for place, size in enumerate(SIZES):
        for key, name, look in looks:
            y = [value for value, _ in mean(outcome, key, size)]
            found.append(lines.Line(f"{size:,} examples, {name}", CANDIDATES, y, place, look))
    x = lines.Axis("candidates among which the best is chosen", log=True)
    y_axis = lines.Axis("score less true accuracy", percent=True)
    accuracies = [sorted(each["accuracies"]) for each in outcome.measured["search"]]
    ranks = [lines.Line(f"pool {n}", range(1, len(each) + 1), each, n) for n, each in enumerate(accuracies, 0)]
    return [
        drawn("bias", lines, lines.info("How much too good the chosen one looks", x, y_axis, found)),
        drawn("candidates", lines, lines.info(
            "The candidates' true accuracies", lines.Axis("rank"), lines.Axis("accuracy", percent=True), ranks[:5]),
            "Sorted, on all test examples: the closer they lie, the more luck decides. A pool is a set of candidates."),
    ]  # fmt: skip


def table(outcome: Outcome) -> Table:
    """A row per number of candidates."""
    columns = [(size, key) for size in SIZES for key in ("test", "validation")]
    cells = [mean(outcome, key, size) for size, key in columns]
    rows = [
        [str(count), *(f"{100 * column[place][0]:+.2f}" for column in cells)] for place, count in enumerate(CANDIDATES)
    ]
    names = [f"{size:,} {'same' if key == 'test' else 'other'}" for size, key in columns]
    largest = max(error for column in cells for _, error in column)
    return Table(
        "Score less true accuracy in points, on sets of this size: the same data that chose, or others; standard "
        f"errors are at most {100 * largest:.2f}.",
        ["candidates", *names],
        rows,
    )


STUDY = Study(
    name="validation-data",
    title="Hyper-parameters that are chosen on test data look better than they are",
    source="note 004 (validation data)",
    notes=("004",),
    claims=(
        Claim(
            "Hyper-parameters that are chosen on test data look better than they are.",
            "the mean score of the chosen one on that data is above its true accuracy by more than four standard "
            "errors, for every size of the set and every number of candidates above one; it does not hold where one "
            "mean is not above at all",
            looks_better,
        ),
        Claim(
            "The more candidates, the more so.",
            "fifty candidates' excess is above two candidates' by more than four standard errors for every size",
            grows,
        ),
        Claim(
            "With validation data to choose on, the score on test data is right.",
            "within four standard errors of the true accuracy, for every size and number of candidates; examples that "
            "took no part in the choice must give that, so that only an error in our drawing could make it fail",
            validation_is_fair,
        ),
        Claim(
            "What is chosen on test data is a worse choice than what is chosen on validation data.",
            "the true accuracy of the best of fifty is lower by more than four standard errors, for every size; note "
            "004 says that general performance falls",
            choice_is_worse,
        ),
    ),
    plan=plan,
    figures=figures,
    table=table,
    see="""Solid lines: by how much the best of several candidates scores higher on the data that chose it than it
    truly is. Compare few candidates with many, and few examples with many. Dashed lines: the same candidate's score
    on other data, less what it is worth.""",
    why="""A score on 100 examples is off by chance, by about √(0.84·0.16/100) = 3.7 points here. Choosing the
    highest of many scores chooses good candidates and lucky ones, and the luck does not come along to other data.
    The luckiest of 50 would be 2.2 of these errors too high if the candidates failed independently; they mostly
    fail on the same examples, so it is about one. Nine times the examples make an error a third.

    The choice itself is not worse for it: as many validation examples, drawn in the same way, must on average choose
    just as well (last claim). What is lost is an honest number. That is why test data are looked
    at once, after choosing.""",
    changes="""Candidates that differ more than luck does: then the best is the best on any data, and the excess is
    small. More examples: on all 10,000 test images of MNIST one point is seldom luck. More rounds of choosing on
    the same data: each adds candidates.""",
    quick_seconds=15,
    full="ten pools, 100 epochs, 20,000 draws; 10 minutes",
    data="mnist",
    alternatives=("fashion-mnist", "digits"),
)
