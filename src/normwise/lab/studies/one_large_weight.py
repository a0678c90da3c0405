"""Note 002: one weight becomes extreme in the middle of training; how far that travels, and how long it stays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from statistics import median
from typing import Any

from normwise.figures import lines
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.drawing import drawn
from normwise.lab.reproduction.judging import unanimous
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Measurement, Study, judged
from normwise.lab.studies.shared.damage import EVERY, FACTORS, damaged
from normwise.report import Table

ARMS: dict[str, dict[str, Any]] = {
    "plain": {"norm": "none"},
    "bn": {"norm": "batch", "place": "before"},
    "bn after": {"norm": "batch", "place": "after"},
}
"""BN before the activation, as in the paper, and after it, as in note 002."""

HEALED = 1.2
"""Times the loss of the undamaged network on the same batches; two seeds differ by less."""


def plan(asked: Asked) -> list[Measurement]:
    """A measurement per network and seed."""
    steps = asked.scale.pick(
        smoke={"before": 10, "after": 20}, quick={"before": 500, "after": 300}, full={"before": 2000, "after": 2000}
    )
    seeds = asked.seeds or asked.scale.pick(smoke=1, quick=3, full=5)
    return [
        Measurement(arm, damaged, {"keys": keys, **steps}, seed, asked.data)
        for seed in range(seeds)
        for arm, keys in ARMS.items()
    ]


def deviation(run: Mapping[str, Any], factor: int) -> float:
    """Of the last hidden layer, relative to what it put out before; infinite where it is not finite."""
    last = run[str(factor)]["deviations"][-1]
    return math.inf if last is None or not math.isfinite(last) else float(last)


def jump(run: Mapping[str, Any], factor: int) -> float:
    """The loss right after the damage less that before it."""
    loss, before = run[str(factor)]["losses"][0], run["1"]["losses"][0]
    return math.inf if loss is None or before is None else float(loss - before)


def steps_to_heal(run: Mapping[str, Any], factor: int) -> int | None:
    """The first measured step from which on two losses are within ``HEALED`` of the undamaged network's; or None."""
    pairs = zip(run[str(factor)]["losses"], run["1"]["losses"], strict=True)
    near = [loss is not None and control is not None and loss <= HEALED * control for loss, control in pairs]
    return next((EVERY * place for place in range(len(near) - 1) if near[place] and near[place + 1]), None)


def pairs(outcome: Outcome, arm: str) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """The runs of an arm and of plain with the same seed."""
    return list(zip(outcome.measured[arm], outcome.measured["plain"], strict=True))


def sound(outcome: Outcome) -> bool:
    """Whether every network was finite while no weight was changed, so that there is something to compare with."""
    return not any(None in run["1"]["losses"] for runs in outcome.measured.values() for run in runs)


def keeps_it_from_traveling(outcome: Outcome, arm: str) -> Judged:
    """Whether the last hidden layer is less than half as far off as without BN, for every factor and seed."""
    found, less = {}, []
    for factor in FACTORS:
        both = [(deviation(bn, factor), deviation(plain, factor)) for bn, plain in pairs(outcome, arm)]
        found[factor] = {"bn": [bn for bn, _ in both], "plain": [plain for _, plain in both]}
        less.append([bn < plain / 2 for bn, plain in both])
    said = "; ".join(
        f"×{factor}: {100 * median(each['plain']):,.0f} % without BN, {100 * median(each['bn']):.0f} % with it, less "
        f"than half in {sum(there)} of {len(there)} seeds"
        for (factor, each), there in zip(found.items(), less, strict=True)
    )
    return judged(
        unanimous([each for there in less for each in there]) if sound(outcome) else None,
        f"The last hidden layer's outputs change by: {said}.",
        deviations={str(factor): each for factor, each in found.items()},
    )  # fmt: skip


def heals_sooner(outcome: Outcome) -> Judged:
    """Whether the loss is back sooner with BN, for each place, large factor and seed."""

    def steps(run: Mapping[str, Any], factor: int) -> float:
        found = steps_to_heal(run, factor)
        return math.inf if found is None else found

    sooner = [
        steps(bn, factor) < steps(plain, factor)
        for arm in ("bn", "bn after")
        for bn, plain in pairs(outcome, arm)
        for factor in (100, 1000)
    ]
    found = {arm: [[steps_to_heal(run, factor) for run in outcome.measured[arm]] for factor in FACTORS] for arm in ARMS}
    said = "; ".join(f"{arm}: {', '.join(_steps(outcome, arm, factor) for factor in FACTORS)}" for arm in ARMS)
    answer = unanimous(sooner) if sound(outcome) else None
    return judged(answer, f"Steps until the loss is back, for ×10, ×100, ×1000: {said}.", steps=found)


def _steps(outcome: Outcome, arm: str, factor: int) -> str:
    """The median over the seeds, where never is infinite."""
    found = [steps_to_heal(run, factor) for run in outcome.measured[arm]]
    middle = median(math.inf if steps is None else steps for steps in found)
    return f"{middle:.0f}" if math.isfinite(middle) else "never"


def shrinks_the_weight(outcome: Outcome) -> Judged:
    """Whether training with BN brings the weight itself back, at least half of the way."""
    kept = {
        arm: [
            math.inf if end is None or not start else abs(end / start)
            for run in outcome.measured[arm]
            for start, end in [run["1000"]["weights"]]
        ]
        for arm in ("bn", "bn after")
    }
    said = ", ".join(f"{100 * median(shares):.1f} % ({arm})" for arm, shares in kept.items())
    return judged(
        unanimous([share < 0.5 for shares in kept.values() for share in shares]),
        f"Of a weight multiplied by 1000, {said} is left at the end.",
        kept=kept,
    )  # fmt: skip


PLACES = {"plain": 0, "bn": 1, "bn after": 2}


def figures(outcome: Outcome) -> list[Panel]:
    """How far the imbalance travels, and the loss after it."""
    travel, losses = [], []
    for factor in FACTORS:
        runs = {arm: [run[str(factor)] for run in outcome.measured[arm]] for arm in PLACES}
        travel.append(
            [lines.Line(arm, range(1, 5), _medians([run["deviations"] for run in runs[arm]]), place)
             for arm, place in PLACES.items()]
        )  # fmt: skip
        losses.append(
            [lines.Line(arm, range(0, EVERY * len(values), EVERY), values, place)
             for arm, place in PLACES.items() for values in [_medians([run["losses"] for run in runs[arm]])]]
        )  # fmt: skip
    titles = [f"one weight × {factor}" for factor in FACTORS]
    x, y = lines.Axis("hidden layer"), lines.Axis("change of the layer's outputs, relative", log=True)
    traveled = lines.info("How far one large weight is felt", x, y, list(map(lines.Frame, titles, travel)), columns=3)
    x, y = lines.Axis("training step after the change"), lines.Axis("loss on 500 validation examples", log=True)
    after = lines.info("The loss after the change", x, y, list(map(lines.Frame, titles, losses)), columns=3)
    return [
        drawn("travel", lines, traveled),
        drawn(
            "loss",
            lines,
            after,
            "Median over the seeds, with the batch's own statistics where there is BN. A line that leaves the frame at "
            "the top is a loss that is not finite.",
        ),
    ]


def _medians(runs: Sequence[Sequence[float | None]]) -> list[float]:
    return [median(math.inf if value is None else value for value in values) for values in zip(*runs, strict=True)]


def table(outcome: Outcome) -> Table:
    """A row per network and factor."""
    rows = [
        [f"{arm}, × {factor}", f"{100 * median(deviation(run, factor) for run in runs):,.0f} %",
         f"{round(median(jump(run, factor) for run in runs), 2) + 0.0:+,.2f}", _steps(outcome, arm, factor)]
        for arm, runs in outcome.measured.items()
        for factor in FACTORS
    ]  # fmt: skip
    said = (
        "Change of the last hidden layer's outputs, relative to what they were; change of the loss; training steps "
        "until it is within a fifth of the undamaged network's. Medians over the seeds."
    )
    return Table(said, ["network, factor", "last layer off by", "loss jumps by", "steps to heal"], rows)


TRAVELS = (
    "less than half (ours: clear in a figure) of the relative change without BN, for each factor in every seed; "
    "a mixed result is undecided"
)

STUDY = Study(
    name="one-large-weight",
    title="One weight becomes extreme: do the layers after it notice, with and without BN?",
    source="note 002",
    notes=("002", "003"),
    claims=(
        Claim(
            "BN after the activation, as in note 002, keeps the imbalance of one large weight from the last layers.",
            TRAVELS, partial(keeps_it_from_traveling, arm="bn after"),
        ),
        Claim(
            "BN before the activation, as in the paper, does so too.",
            TRAVELS, partial(keeps_it_from_traveling, arm="bn"),
        ),
        Claim(
            "With BN the network recovers sooner.",
            "fewer steps until the loss is within a fifth of that of the undamaged network on the same batches, for "
            "×100 and ×1000, both places of BN and every seed; a mixed result is undecided",
            heals_sooner,
        ),
        Claim(
            "BN keeps the weight itself from being extreme.",
            "after further training less than half (ours; 500 times as large is still extreme) is left of a weight "
            "multiplied by 1000, in every run with BN",
            shrinks_the_weight,
        ),
    ),
    plan=plan,
    figures=figures,
    table=table,
    see="""Each frame shows by how much the outputs of each layer change when a single weight of the first layer is
    multiplied. Follow each line from the first layer to the last, and compare the frames: does the change grow with
    the factor? A factor of 10 makes a weight that may still be small beside the sum of all others.""",
    why="""Without BN a unit with one huge weight puts out huge values, which every unit of the next layer receives,
    so that the whole layer is off, and the next, and the loss. Its gradients are as large, and the first steps can
    throw many other weights far off.

    With BN the unit is divided by its own standard deviation, which the huge weight made huge as well. What the unit
    puts out is still wrong, because it now looks at one pixel only, but it is of the usual size. One of a hundred units
    is wrong, which is a tenth of the length of all outputs (√(1/100)), and with no unit larger than others the next
    layers are off by about as much. The note says more: that BN keeps a weight from becoming
    extreme. It does not touch the weight. Since BN((aW)u) = BN(Wu), no gradient points along a unit's weights, so that
    the large weight stays; BN takes its effect away.""",
    changes="""Evaluation right after the change, with the old moving averages: these do not know of the large weight,
    and the network with BN is wrong too until they have been renewed. Weight decay brings the weight itself
    back. A weight that the data do not use, at the border of the image, changes nothing.""",
    quick_seconds=20,
    full="2,000 steps before and after, 5 seeds; 3 minutes",
    data="mnist",
    alternatives=("fashion-mnist", "digits"),
)  # fmt: skip
