"""Section 2: a bias before a normalization that the gradient step knows nothing of grows while the loss stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, isfinite, log
from statistics import fmean, median
from typing import Any

from normwise.figures import lines
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.drawing import drawn
from normwise.lab.reproduction.judging import unanimous
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Measurement, Study, judged
from normwise.lab.studies.shared.outside_the_gradient import all_parameters, only_b
from normwise.report import Table

RATES = (0.1, 1.0, 10.0)
CHANCE = log(10)
KINDS = {"outside": "mean, outside", "inside": "mean, inside", "both": "mean and deviation, outside", "bn": "BN"}


def plan(asked: Asked) -> list[Measurement]:
    """The example with b alone, and whole networks at three learning rates."""
    alone = asked.scale.pick(smoke=4, quick=60, full=400)
    steps = asked.scale.pick(smoke=8, quick=600, full=10_000)
    seeds = asked.seeds or asked.scale.pick(smoke=1, quick=2, full=5)
    trials = [
        Measurement(f"b alone, {name}", only_b, {"steps": alone, "outside": name == "outside"}, 0, asked.data)
        for name in ("outside", "inside")
    ]
    for kind, name in KINDS.items():
        for rate in RATES:
            given = {"kind": kind, "rate": rate, "steps": steps}
            trials += [
                Measurement(f"{name}, lr {rate:g}", all_parameters, given, seed, asked.data) for seed in range(seeds)
            ]
    return trials


def _alone(outcome: Outcome, name: str) -> Mapping[str, Any]:
    return outcome.measured[f"b alone, {name}"][0]


def _runs(outcome: Outcome, kind: str, rate: float) -> Sequence[Mapping[str, Any]]:
    return outcome.measured[f"{KINDS[kind]}, lr {rate:g}"]


def _values(run: Mapping[str, Any], name: str) -> list[float]:
    return [inf if value is None else value for value in run[name]]


def b_grows(outcome: Outcome) -> Judged:
    """Whether b grows in proportion to the steps while the loss does not change at all."""
    found = _alone(outcome, "outside")
    losses, sizes = found["losses"], found["sizes"]
    change = max(abs(loss - losses[0]) for loss in losses)
    half = (len(sizes) - 1) // 2
    growth = sizes[2 * half] / sizes[half] if sizes[half] else 0.0
    return judged(
        change < 1e-9 and abs(growth - 2) < 0.02,
        f"In {len(losses) - 1} steps the length of b goes from 0 to {sizes[-1]:.3g}, {growth:.4f} times that of half "
        f"the steps, and the loss changes by at most {change:.1g} from {losses[0]:.4f}.",
        change=change, growth=growth, b=sizes[-1],
    )  # fmt: skip


def b_does_not_matter_inside(outcome: Outcome) -> Judged:
    """Whether b stays where the gradient goes through the mean."""
    inside, outside = (_alone(outcome, name)["sizes"][-1] for name in ("inside", "outside"))
    return judged(
        outside > 0 and inside < 1e-9 * outside,
        f"After the same steps the length of b is {inside:.1g} with the mean inside of the gradient and {outside:.3g} "
        "with it outside.",
        inside=inside, outside=outside,
    )  # fmt: skip


def b_grows_in_training(outcome: Outcome) -> Judged:
    """Whether b still grows at the end where all parameters are trained."""
    ratios, last = [], []
    for run in _runs(outcome, "outside", RATES[0]):
        sizes = _values(run, "sizes")
        half = sizes[(len(sizes) - 1) // 2]
        ratios.append((sizes[-1] - half) / half if half else 0.0)
        last.append(sizes[-1])
    inside = [_values(run, "sizes")[-1] for run in _runs(outcome, "inside", RATES[0])]
    return judged(
        unanimous([a > 0.25 and b < 0.01 * c for a, b, c in zip(ratios, inside, last, strict=True)])
        if all(map(isfinite, (*last, *inside))) else None,
        f"With lr {RATES[0]:g} the length of b ends at {fmean(last):.3g}, and grew in the second half of the steps by "
        f"{', '.join(f'{100 * ratio:.0f}' for ratio in ratios)} % of what it was; with the mean inside it ends at "
        f"{fmean(inside):.1g}.",
        growth=ratios, outside=last, inside=inside,
    )  # fmt: skip


def blows_up(outcome: Outcome) -> Judged:
    """Whether some learning rate at which BN learns makes the loss larger than that of guessing."""
    ends = {
        (kind, rate): median(_values(run, "losses")[-1] for run in _runs(outcome, kind, rate))
        for kind in KINDS
        for rate in RATES
    }
    pairs = {"outside": "inside", "both": "bn"}
    blown = [
        (kind, rate)
        for kind, proper in pairs.items()
        for rate in RATES
        if ends[kind, rate] > CHANCE and ends[proper, rate] < CHANCE / 2
    ]
    learned = any(ends[proper, rate] < CHANCE / 2 for proper in pairs.values() for rate in RATES)
    said = "; ".join(
        f"{name}: {', '.join(f'{ends[kind, rate]:.3g}' for rate in RATES)}" for kind, name in KINDS.items()
    )
    return judged(
        bool(blown) if learned else None,
        f"The training loss at the end for learning rates {', '.join(f'{rate:g}' for rate in RATES)} is, {said}; "
        f"guessing has {CHANCE:.2f}.",
        blown=[f"{KINDS[kind]}, lr {rate:g}" for kind, rate in blown],
        losses={f"{KINDS[kind]}, lr {rate:g}": loss if isfinite(loss) else None for (kind, rate), loss in ends.items()},
    )


def figures(outcome: Outcome) -> list[Panel]:
    """Loss and b of the example, then of whole networks."""
    outside, inside = _alone(outcome, "outside"), _alone(outcome, "inside")
    steps = range(len(outside["losses"]))
    alone = [
        lines.Line("length of b, outside", steps, outside["sizes"], 0),
        lines.Line("length of b, inside", steps, inside["sizes"], 1),
        lines.Line("loss, outside", steps, outside["losses"], 0, "dashed"),
    ]
    x = lines.Axis("training step")
    return [
        drawn(
            "example",
            lines,
            lines.info("The paper's example: b alone is trained", x, lines.Axis("length of b, and loss"), alone),
        ),
        _whole(outcome, "losses", lines.Axis("training loss", log=True, limits=(1e-4, 1e3)), "Training loss", "loss"),
        _whole(outcome, "sizes", lines.Axis("length of b", log=True, limits=(1e-8, 1e6)), "Length of b", "b"),
    ]


def _whole(outcome: Outcome, what: str, y: lines.Axis, title: str, name: str) -> Panel:
    frames = []
    for rate in RATES:
        series = []
        for place, kind in enumerate(KINDS):
            run = _runs(outcome, kind, rate)[0]
            values = [value if isfinite(value) else float("nan") for value in _values(run, what)]
            look: lines.Look = "dashed" if kind in ("both", "bn") else "solid"
            series.append(lines.Line(KINDS[kind], run["steps"], values, place % 2, look))
        frames.append(
            lines.Frame(f"learning rate {rate:g}", series, [lines.Level(CHANCE, "guessing")] if name == "loss" else [])
        )
    return drawn(
        name,
        lines,
        lines.info(f"{title}, all parameters trained, seed 0", lines.Axis("training step"), y, frames, 3),
        "Orange: outside of the gradient; blue: inside.",
    )


def table(outcome: Outcome) -> Table:
    """Loss, b and weights at the end by kind and learning rate."""
    rows = []
    for kind, name in KINDS.items():
        for rate in RATES:
            runs = _runs(outcome, kind, rate)
            ends = [median(_values(run, what)[-1] for run in runs) for what in ("losses", "sizes", "weights")]
            rows.append([name, f"{rate:g}", *("not finite" if value == inf else f"{value:.3g}" for value in ends)])
    return Table(
        "All parameters trained: medians over the seeds at the end.",
        ["normalization", "learning rate", "training loss", "length of b", "length of all weights"],
        rows,
    )


STUDY = Study(
    name="outside-the-gradient",
    title="A normalization that the gradient does not see lets a bias grow without bound",
    source="Ioffe and Szegedy 2015, section 2",
    notes=("002", "003"),
    claims=(
        Claim(
            "Where x̂ = x − E[x] of x = u + b is made outside of the gradient step, b grows indefinitely while the loss "
            "stays.",
            "b alone is trained: after twice the steps b is twice as long within 1 %, as a gradient that never changes "
            "makes it, and the loss changes by less than 10⁻⁹ in float64",
            b_grows,
        ),
        Claim(
            "Inside of the gradient b does not matter: its gradient is zero.",
            "b moves less than 10⁻⁹ of what it moves outside, the rounding of float64",
            b_does_not_matter_inside,
        ),
        Claim(
            "b also grows without end where all parameters are trained.",
            "with lr 0.1, in every seed, b is 25 % longer at the end than at half the steps (ours: steady growth makes "
            "100 %), and with the mean inside it is below 1 % of that; seeds that disagree decide nothing",
            b_grows_in_training,
        ),
        Claim(
            "The model blows up when the normalization parameters are computed outside of the gradient descent step.",
            "at one of three learning rates at which the same network with the gradient through the normalization gets "
            "below half of ln 10, the median of the loss ends above ln 10, what guessing has, or is not finite",
            blows_up,
        ),
    ),
    plan=plan,
    figures=figures,
    table=table,
    see="""The dashed line is the loss: flat. The solid orange line is b, which grows by the same amount with every
    step, because each step sees the same gradient and changes nothing. In blue is b where the gradient goes through the
    mean: it stays at 0.""",
    why="""The gradient step believes that a larger b would make x̂ larger, and the loss smaller. But E[x] grows with b,
    and x̂ = u + b − E[u + b] is what it was. The next step sees the same loss and the same gradient, and so b grows by
    the same amount forever.

    Where the derivative of E[x] is part of the gradient, both parts cancel: ∂x̂/∂b = 1 − 1 = 0. This is why batch
    normalization differentiates through the mean and the variance of the mini-batch.""",
    changes="""With a β after the normalization the offset that the loss asks for has a place, and b stops growing once
    β has it. A larger b costs digits: in float32 a b of 10⁵ leaves two digits of u. Weight decay holds b back.""",
    quick_seconds=20,
    full="10,000 steps, 5 seeds; 8 minutes",
    data="mnist",
    alternatives=("fashion-mnist", "digits"),
)
