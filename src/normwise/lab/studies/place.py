"""Notes 001, 002 and 004: batch normalization before or after the activation."""

from __future__ import annotations

import math
from statistics import fmean

from normwise.figures import dots
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.drawing import accuracy_table, drawn, spread
from normwise.lab.reproduction.judging import PAIRED, Difference, every, less_at_best
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Study, Training, judged

PLACES = {
    "none": {},
    "before": {"norm": "batch", "place": "before"},
    "after": {"norm": "batch", "place": "after"},
}

NETWORKS = {
    "MLP, sigmoid": {"model": "mlp:100x3", "activation": "sigmoid", "init": "xavier"},
    "MLP, tanh": {"model": "mlp:100x3", "activation": "tanh", "init": "xavier"},
    "MLP, ReLU": {"model": "mlp:100x3", "activation": "relu", "init": "he"},
    "CNN, ReLU": {"model": "cnn:8,16", "activation": "relu", "init": "he"},
}
"""Small networks, each with the initialization that is made for its activation. Sizes and learning rate are ours."""


def plan(asked: Asked) -> list[Training]:
    """Each network without normalization, and with it before and after its activations."""
    seeds = asked.seeds or asked.scale.pick(smoke=1, quick=3, full=10)
    steps = asked.scale.pick(smoke=2, quick=400, full=5000)
    return [
        Training(
            {f"{network}: {place}": keys for place, keys in PLACES.items()},
            asked.data, seeds, {"lr": 0.1, "steps": steps, **options},
        )
        for network, options in NETWORKS.items()
    ]  # fmt: skip


def compared(outcome: Outcome, network: str, one: str, other: str) -> Difference:
    """How far the test accuracy of one place is above another's."""
    return less_at_best(outcome.runs[f"{network}: {one}"], outcome.runs[f"{network}: {other}"])


def _better(outcome: Outcome, network: str, one: str, other: str) -> Judged:
    found = compared(outcome, network, one, other)
    values = {place: outcome.test(f"{network}: {place}") for place in (one, other)}
    said = ", ".join(f"{place} the activation {spread(each, 2, percent=True)}" for place, each in values.items())
    return judged(
        found.positive,
        f"{network}: {said}; the difference is {found.write(digits=2)}.",
        difference=found.mean, interval=found.interval, **values,
    )  # fmt: skip


def before_is_better_with_sigmoid(outcome: Outcome) -> Judged:
    """Whether the paper's place is the better one in the paper's network."""
    return _better(outcome, "MLP, sigmoid", "before", "after")


def after_is_better_with_relu(outcome: Outcome) -> Judged:
    """Whether what was found with CaffeNet shows in a small convolutional network."""
    return _better(outcome, "CNN, ReLU", "after", "before")


def both_help(outcome: Outcome) -> Judged:
    """Whether each place beats none in every network."""
    gains = {f"{network}: {place}": compared(outcome, network, place, "none")
             for network in NETWORKS for place in ("before", "after")}  # fmt: skip
    smallest = min(gains, key=lambda name: gains[name].mean)
    return judged(
        every(gain.positive for gain in gains.values()),
        f"The gain over the same network without normalization is smallest for {smallest} the activation, "
        f"{gains[smallest].write(digits=2)}, and beyond the noise of the seeds in "
        f"{sum(gain.positive is True for gain in gains.values())} of {len(gains)} cases.",
        gains={name: gain.mean for name, gain in gains.items()},
        intervals={name: gain.interval for name, gain in gains.items()},
    )  # fmt: skip


def figures(outcome: Outcome) -> list[Panel]:
    """How far after is above before; and the test accuracy of every network and place."""
    found = {network: compared(outcome, network, "after", "before") for network in NETWORKS}
    rows = [
        dots.Row(network, 100 * each.mean, 100 * (each.high - each.mean) if each.interval else math.nan)
        for network, each in found.items()
    ]
    said = "points of test accuracy, after minus before"
    main = dots.info("After the activation against before", said, rows, [dots.Level(0.0, "no difference")])
    edges = [abs(row.value) + (row.margin if math.isfinite(row.margin) else 0) for row in rows]
    reach = 1.1 * max((edge for edge in edges if math.isfinite(edge)), default=0.0) or 1.0
    main = main._replace(limits=(-reach, reach))
    each = [
        dots.Row(arm, fmean(values or [math.nan]), singles=tuple(values))
        for arm in outcome.runs
        for values in [outcome.test(arm)]
    ]
    said = "test accuracy, higher is better"
    every = dots.info("None, before and after", said, each, percent=True, small="one seed", large="mean of the seeds")
    caption = "Three rows a network. Compare the step from none to before with that from before to after."
    return [drawn("difference", dots, main), drawn("accuracy", dots, every, caption)]


STUDY = Study(
    name="place",
    title="Batch normalization before or after the activation, and what either place gains",
    source="notes 001, 002 and 004; Ioffe and Szegedy 2015, section 3.2; caffenet-benchmark (Mishkin)",
    notes=("001", "002", "003", "004"),
    claims=(
        Claim(
            "Normalizing before the sigmoid, as the paper does, gives a higher test accuracy than after it, as in note "
            "002.",
            f"of the difference {PAIRED}",
            before_is_better_with_sigmoid,
        ),
        Claim(
            "With ReLU, normalizing after the activation is slightly better: 49.9 % against 47.4 % with CaffeNet on "
            "ImageNet.",
            f"the sign of the difference in a small convolutional network: {PAIRED}",
            after_is_better_with_relu,
        ),
        Claim(
            "In either place it gives a higher test accuracy than none after the same number of steps.",
            f"a gain in all networks, of each {PAIRED}; a place that is worse than none beyond the noise refutes it",
            both_help,
        ),
    ),
    plan=plan,
    figures=figures,
    table=accuracy_table,
    see="""A dot to the right of the line is a network for which after the activation is better, one to the left a
    network for which before is. The bars are 95 % intervals over the seeds: one that crosses the line decides
    nothing. The second
    figure has both places beside no normalization.""",
    why="""Before the activation the layer normalizes Wu, a sum of many terms, whose distribution is nearly symmetric;
    that fixes where on the sigmoid the units work, away from the flat ends. This is the paper's reason. The bias of
    the linear map is then useless, since β does its work.

    After the activation, as in note 002, the next layer gets inputs of mean 0 and variance 1, which is what input
    standardization does for the first layer. A sigmoid's outputs are all positive, and a ReLU's too, so centering
    them helps the next layer's gradients. What a unit itself works with is then left to its weights. Both places
    divide the scale of the weights out, so both allow the same learning rates.""",
    changes="""Length, depth and learning rate: all arms have the same learning rate, and few steps at quick scale, so
    that speed is what counts there. CaffeNet is much deeper than these networks. More seeds narrow the noise, and
    with it the cases that are undecided.""",
    quick_seconds=40,
    full="5,000 steps, 10 seeds; about 25 minutes",
    data="mnist",
    alternatives=("fashion-mnist", "digits"),
)
