"""Section 4.2 of the paper, figures 2, 3 and 5: Inception with batch normalization, in small, on CIFAR-10."""

from __future__ import annotations

import math
from functools import partial
from statistics import fmean
from typing import Any

from normwise.figures import dots, lines
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.drawing import drawn, published, spread
from normwise.lab.reproduction.judging import unanimous
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Measurement, Study, Trial, judged
from normwise.lab.studies.shared import small_inception as small
from normwise.report import Table

PUBLISHED = {
    "Inception": (31.0, 72.2),
    "BN-Baseline": (13.3, 72.7),
    "BN-x5": (2.1, 73.0),
    "BN-x30": (2.7, 74.8),
    "BN-x5-Sigmoid": (math.nan, 69.8),
}
"""Figure 3: millions of steps to 72.2 %, and the greatest accuracy in percent."""

PARAMETERS = 13.6e6
"""What section 4.2 says of the network's size."""

NOISE = 0.01  # of test accuracy: about a standard error of 2,000 test images; ours
SIGMOID = "Inception, sigmoid"
MAIN = (*PUBLISHED, SIGMOID)
ONLY = "only: "
BASE = "BN-Baseline"


def plan(asked: Asked) -> list[Trial]:
    """The networks of figure 3, each change alone, and the size of the network of figure 5."""
    seeds = asked.seeds or asked.scale.pick(smoke=1, quick=2, full=3)

    bn: dict[str, Any] = {"norm": "batch"}
    changed = bn | {"weight_decay": small.PENALTY / 5}
    rates: dict[str, dict[str, Any]] = {
        "BN-x5": {"lr": 5 * small.RATE},
        "BN-x30": {"lr": 30 * small.RATE},
        "BN-x5-Sigmoid": {"lr": 5 * small.RATE, "activation": "sigmoid"},
    }
    before: dict[str, dict[str, Any]] = {"Inception": {}, BASE: bn, SIGMOID: {"activation": "sigmoid"}}
    trials: list[Trial] = [
        small.training(asked, before, "inception", "together", seeds),
        small.training(
            asked, {name: changed | keys for name, keys in rates.items()}, "changed", "shuffled", seeds, faster=6
        ),
        small.training(asked, {"Inception-x5": {"lr": 5 * small.RATE}}, "inception", "together", 1),
    ]
    for name, (network, data, keys) in list(small.CHANGES.items())[: asked.scale.pick(smoke=1, quick=7, full=7)]:
        own = {key: value for key, value in keys.items() if key != "schedule"}
        trials.append(
            small.training(asked, {f"{ONLY}{name}": bn | own}, network, data, 1, faster=keys.get("schedule", 1))
        )
    return [*trials, Measurement("size", small.size)]


def is_faster(outcome: Outcome, arm: str, least: float) -> Judged:
    """Whether an arm takes so many times fewer steps to the best of plain Inception."""
    plain, runs = outcome.runs["Inception"], outcome.runs[arm]
    needed, steps = (small.steps_to_target(each, plain) for each in (plain, runs))
    ratio = small.times_fewer(runs, plain)
    by_seed = [small.times_fewer([a], [b]) for a, b in zip(runs, plain, strict=True)]
    said = f"{steps:,.0f} steps, {ratio:.1f} times fewer" if steps < math.inf else "in none of its steps"
    times = PUBLISHED["Inception"][0] / PUBLISHED[arm][0]
    return judged(
        unanimous([each >= least for each in (ratio, *by_seed)]) if math.isfinite(needed) else None,
        f"Inception has its best validation accuracy, {100 * small.best(plain):.1f} %, after {needed:,.0f} steps; "
        f"{arm} has as much after {said} (by seed {', '.join(f'{each:.1f}' for each in by_seed)}). The paper's ratio "
        f"is {times:.1f}.",
        plain=needed, steps=steps if steps < math.inf else None, ratio=ratio, by_seed=by_seed, published=times,
    )  # fmt: skip


def x30_is_best(outcome: Outcome) -> Judged:
    """Whether the largest learning rate ends highest."""
    tests = {arm: outcome.test(arm) for arm in ("Inception", BASE, "BN-x5", "BN-x30")}
    each = [best - max(others) for *others, best in zip(*tests.values(), strict=False)]
    averages = [fmean(values or [math.nan]) for values in tests.values()]
    ahead = averages[-1] - max(averages[:-1])
    same = len(set(map(len, tests.values()))) == 1 and abs(ahead) > NOISE
    said = ", ".join(f"{arm} {spread(values, percent=True)}" for arm, values in tests.items())
    return judged(
        unanimous([value > 0 for value in (ahead, *each)]) if same else None,
        f"Test accuracy at the best step: {said}.", ahead=ahead, **tests,
    )  # fmt: skip


def plain_does_not_stand_x5(outcome: Outcome) -> Judged:
    """Whether Inception without normalization breaks at five times its learning rate."""
    diverged, accuracy = outcome.diverged("Inception-x5"), small.best(outcome.runs["Inception-x5"])
    how = "Its loss stopped being finite" if diverged else "Its loss stays finite"
    return judged(
        diverged > 0,
        f"{how} at five times the learning rate, and its best validation accuracy is {100 * accuracy:.1f} %.",
        diverged=diverged, accuracy=accuracy,
    )  # fmt: skip


def sigmoid_needs_bn(outcome: Outcome) -> Judged:
    """Whether a sigmoid network stays at chance without normalization and learns with it."""
    without, with_bn = outcome.test(SIGMOID), outcome.test("BN-x5-Sigmoid")
    return judged(
        max(without, default=0.0) < 0.15 and min(with_bn, default=0.0) > 0.25,
        f"With sigmoid the test accuracy is {spread(without, percent=True)} without normalization, where guessing has "
        f"10 %, and {spread(with_bn, percent=True)} with it.",
        without=without, with_bn=with_bn,
    )  # fmt: skip


def has_as_many_parameters(outcome: Outcome) -> Judged:
    """Whether the table of figure 5 gives the number that the text has."""
    found = outcome.measured["size"][0]
    return judged(
        any(abs(count / PARAMETERS - 1) < 0.02 for count in found.values()),
        f"The rows of figure 5 as they are printed give {found['printed'] / 1e6:.2f} million parameters. Their 4c and "
        f"4d put out 608 feature maps and say 576; with 96 filters after the pooling, where all adds up, there are "
        f"{found['added_up'] / 1e6:.2f} million. The text says 13.6 million.",
        **found, published=PARAMETERS,
    )  # fmt: skip


def figures(outcome: Outcome) -> list[Panel]:
    """Accuracy over steps, ours and the paper's; and what each change does."""
    x, y = lines.Axis("training step"), lines.Axis("validation accuracy, higher is better", percent=True)
    ours = [lines.Line(arm, *small.means(outcome.runs[arm]), place) for place, arm in enumerate(MAIN)]
    target = small.best(outcome.runs["Inception"])
    level = [lines.Level(target, "best of Inception")] if math.isfinite(target) else []
    main = lines.info("A small Inception on CIFAR-10", x, y, [lines.Frame("", ours, level)])
    theirs = [_published(arm, place) for place, arm in enumerate(PUBLISHED)]
    there = lines.info("Figure 2 of the paper: ImageNet", lines.Axis("training step, millions"), y, theirs)
    changed = (BASE, *(arm for arm in outcome.runs if arm.startswith(ONLY)))
    rows = [dots.Row(arm.removeprefix(ONLY), fmean(outcome.test(arm) or [math.nan])) for arm in changed]
    reference = [dots.Level(rows[0].value, BASE, dotted=True)] if math.isfinite(rows[0].value) else []
    alone = dots.info(
        "Each change of section 4.2.1 alone", "test accuracy, higher is better", rows, reference, percent=True
    )
    return [
        drawn("accuracy", lines, main),
        drawn("published", lines, there, "Digitized from the paper."),
        drawn(
            "changes", dots, alone, "One change each, added to BN-Baseline. One seed: read small differences as noise."
        ),
    ]


def _published(arm: str, place: int) -> lines.Line:
    rows = published(f"fig2_{arm}")
    across, up = list(rows[0])[:2]
    return lines.Line(arm, [row[across] / 1e6 for row in rows], [row[up] for row in rows], place, "published")


def _or_dash(value: float, how: str) -> str:
    return how.format(value) if math.isfinite(value) and value > 0 else "\N{EN DASH}"


def table(outcome: Outcome) -> Table:
    """Figure 3 beside ours, and a row for each change alone."""
    rows = []
    for arm in (*MAIN, "Inception-x5", *(arm for arm in outcome.runs if arm.startswith(ONLY))):
        runs, plain = outcome.runs[arm], outcome.runs["Inception"]
        millions, accuracy = PUBLISHED.get(arm, (math.nan, math.nan))
        rows.append([
            arm, _or_dash(small.steps_to_target(runs, plain), "{:,.0f}"),
            _or_dash(small.times_fewer(runs, plain), "{:.1f}"),
            _or_dash(PUBLISHED["Inception"][0] / millions, "{:.1f}"), _or_dash(100 * small.best(runs), "{:.1f} %"),
            spread(outcome.test(arm), percent=True), _or_dash(accuracy, "{:.1f} %"),
        ])  # fmt: skip
    caption = (
        "Steps to the best validation accuracy of Inception; times fewer than Inception takes; accuracies. The paper's "
        "are of ImageNet, with 72.2 % as the target."
    )
    columns = ["network", "steps", "times fewer", "paper", "best validation", "test at best step", "paper's greatest"]
    return Table(caption, columns, rows)


STUDY = Study(
    name="inception",
    title="How much normalization speeds Inception up, and how much the larger learning rates that it allows",
    source="Ioffe and Szegedy 2015, section 4.2, figures 2, 3 and 5",
    notes=("003",),
    claims=(
        Claim(
            "Normalization alone, BN-Baseline, reaches Inception's accuracy in less than half of the steps.",
            "at least 2 times fewer steps to Inception's best validation accuracy, of the mean over the seeds and in "
            "each seed; seeds that disagree decide nothing",
            partial(is_faster, arm=BASE, least=2.0),
        ),
        Claim(
            "BN-x5, with five times the learning rate and the changes of section 4.2.1, reaches it in 14 times fewer "
            "steps.",
            "at least 7 times fewer, half of the published ratio (ours), since networks and images are smaller; as "
            "above",
            partial(is_faster, arm="BN-x5", least=7.0),
        ),
        Claim(
            "BN-x30, with thirty times the learning rate, ends with the highest accuracy.",
            "a test accuracy above that of the others on average and in each seed; undecided within 1 point, the "
            "standard error of 2,000 test images, or where seeds disagree",
            x30_is_best,
        ),
        Claim(
            "Five times the learning rate makes Inception without normalization diverge.",
            "the loss stops being finite",
            plain_does_not_stand_x5,
        ),
        Claim(
            "With sigmoid, Inception stays at chance without normalization and learns with it.",
            "test accuracy below 15 % without, where guessing has 10 %, and above 25 % with, in every run",
            sigmoid_needs_bn,
        ),
        Claim(
            "The network of figure 5 has 13.6 million parameters.",
            "within 2 %, without normalization or auxiliary classifiers, with pooling projections as printed or "
            "as they add up",
            has_as_many_parameters,
        ),
    ),
    plan=plan,
    figures=figures,
    table=table,
    see="""The horizontal line is the best that Inception does without normalization. Read off where each curve
    crosses it first, and compare with figure 2 of the paper below: the order of the curves is the claim, not their
    height, since the network has a hundredth of the parameters and ten classes of small images.""",
    why="""Normalization before each ReLU keeps the size of what every layer gets, whatever the weights before it do.
    It also makes the output independent of the size of the weights, and their gradient smaller as they grow (section
    3.3), so that a learning rate five or thirty times larger does not make them run away. BN-Baseline has only the
    first of the two advantages, BN-x5 and BN-x30 have both.

    The seven changes of section 4.2.1 either use the new room (learning rate, decay) or take away what slowed or
    regularized the network and is needed less now (dropout, L2, local response normalization, distortion). Shuffling
    is another matter: where the examples of a batch always stay together, each is always normalized with the same
    others, and the noise of changing companions, which regularizes, is lost.""",
    changes="""Length: most of these changes act against overfitting or late in training, so that few hundred steps
    hardly show them. A better initialization, He's here, lets the plain network learn faster than the paper's may
    have, and makes the ratio smaller. The paper's learning rate for Inception, 0.0015, belongs to its size; ours,
    0.01, is for the small network, and thirty times that, 0.3 with a momentum of 0.9, may be too much for few
    steps.""",
    quick_seconds=115,
    full="all of CIFAR-10, 8,000 steps, 3 seeds (one for each change alone); about an hour",
    data="cifar10",
)
