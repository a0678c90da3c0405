"""Judging overfitting: gaps between training and test accuracy, and differences of them over seeds."""

from __future__ import annotations

import math
from statistics import fmean, median

from normwise.figures import lines
from normwise.lab.reproduction.judging import less, unanimous
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Judged, judged

ALL_RIGHT = 0.995
"""What counts as 100 %: at most one of 300 images wrong."""

BEHIND = 0.1
"""How far test has to stay behind train to speak of overfitting (ours): the book's two figures show about 25 points."""


def epochs(published: int, times: int, early: int, late: int) -> list[int]:
    """When to measure: every ``early`` epochs up to the published number, then every ``late`` up to a multiple."""
    return [*range(0, published, early), *range(published, times * published, late), times * published]


def reached(outcome: Outcome, arm: str, epoch: int | None = None) -> int:
    """The last epoch up to this one that was measured; None is the end."""
    return int(max(each for each in outcome.measured[arm][0]["epoch"] if epoch is None or each <= epoch))


def at(outcome: Outcome, arm: str, quantity: str, epoch: int | None = None) -> list[float]:
    """A quantity of each seed at the epoch that ``reached`` returns; nan where it was not finite."""
    when = reached(outcome, arm, epoch)
    found = [run[quantity][run["epoch"].index(when)] for run in outcome.measured[arm]]
    return [math.nan if value is None else value for value in found]


def gaps(outcome: Outcome, arm: str, epoch: int | None = None) -> list[float]:
    """By how much each seed is more accurate on its training images than on test images."""
    train, test = at(outcome, arm, "train", epoch), at(outcome, arm, "test", epoch)
    return [a - b for a, b in zip(train, test, strict=True)]


def overfits(outcome: Outcome, arm: str, epoch: int) -> Judged:
    """Whether every seed knows all of its training images and stays far behind on others."""
    train, gap = at(outcome, arm, "train", epoch), gaps(outcome, arm, epoch)
    return judged(
        unanimous([a >= ALL_RIGHT and b >= BEHIND for a, b in zip(train, gap, strict=True)]),
        f"After {reached(outcome, arm, epoch)} epochs training accuracy is {100 * fmean(train):.1f} % (lowest seed "
        f"{100 * min(train):.1f} %) and test accuracy {100 * fmean(gap):.1f} points behind.",
        train=train, gap=gap,
    )  # fmt: skip


def shrinks_the_gap(outcome: Outcome, without: str, arm: str, epoch: int) -> Judged:
    """Whether a remedy brings training and test accuracy nearer to each other."""
    before, after = gaps(outcome, without, epoch), gaps(outcome, arm, epoch)
    found = less(before, after)
    return judged(
        found.positive,
        f"After {reached(outcome, arm, epoch)} epochs the gap is {100 * fmean(before):.1f} points without and "
        f"{100 * fmean(after):.1f} with it: smaller by {found}.",
        without=before, with_it=after, difference=found.mean, interval=found.interval,
    )  # fmt: skip


def stays_below_all(outcome: Outcome, arm: str, epoch: int | None = None) -> Judged:
    """Whether training accuracy never reached 100 % up to an epoch, in any seed."""
    most = [
        max(value for value, when in zip(run["train"], run["epoch"], strict=True) if epoch is None or when <= epoch)
        for run in outcome.measured[arm]
    ]
    return judged(
        unanimous([value < ALL_RIGHT for value in most]),
        f"The highest training accuracy in {reached(outcome, arm, epoch)} epochs is {100 * fmean(most):.1f} % as the "
        f"mean over the seeds, from {100 * min(most):.1f} to {100 * max(most):.1f} %.",
        highest=most,
    )  # fmt: skip


def has_better_test(outcome: Outcome, without: str, arm: str, epoch: int | None = None) -> Judged:
    """Whether a remedy makes test accuracy higher."""
    before, after = at(outcome, without, "test", epoch), at(outcome, arm, "test", epoch)
    found = less(after, before)
    return judged(
        found.positive,
        f"After {reached(outcome, arm, epoch)} epochs test accuracy is {100 * fmean(before):.1f} % without and "
        f"{100 * fmean(after):.1f} % with it: {found}.",
        without=before, with_it=after, difference=found.mean, interval=found.interval,
    )  # fmt: skip


def line(
    outcome: Outcome, arm: str, quantity: str, name: str, place: int, *, since: int = 0, until: float = math.inf,
    look: lines.Look = "solid",
) -> lines.Line:  # fmt: skip
    """The median over the seeds, with the range of the seeds as a band."""
    epochs = outcome.measured[arm][0]["epoch"]
    rows = [row for row, epoch in enumerate(epochs) if since <= epoch <= until] or [len(epochs) - 1]
    values = [at(outcome, arm, quantity, epochs[row]) for row in rows]
    middle, low, high = ([of(each) for each in values] for of in (median, min, max))
    return lines.Line(name, [epochs[row] for row in rows], middle, place, look, low, high)


def frame(outcome: Outcome, arm: str, title: str, until: int) -> lines.Frame:
    """Training and test accuracy of an arm."""
    train = line(outcome, arm, "train", "training images", 3, until=until, look="dashed")
    return lines.Frame(title, [train, line(outcome, arm, "test", "test images", 2, until=until)])
