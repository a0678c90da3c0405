"""Notes 000 and 001: large weights let the gradient explode; what helps. And Yang et al.: BN's own gradients grow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from statistics import fmean, linear_regression, median
from typing import Any

import torch

from normwise.figures import lines
from normwise.lab import networks
from normwise.lab.batch import Batch
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.context import Context
from normwise.lab.reproduction.drawing import drawn
from normwise.lab.reproduction.judging import every, unanimous
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Measurement, Study, Training, Trial, judged
from normwise.lab.settings import Settings
from normwise.lab.studies.shared import gradients as shared

LARGE = {"init": "normal:0.3"}
"""About twice He's standard deviation, which is 0.14 for 100 inputs; the value is ours."""

ARMS: dict[str, dict[str, Any]] = {
    "plain": LARGE,
    "bn": {**LARGE, "norm": "batch"},
    "rate 0.01": {**LARGE, "lr": 0.01},
    "rate 0.001": {**LARGE, "lr": 0.001},
    "rate 0.0001": {**LARGE, "lr": 0.0001},
    "clipping": {**LARGE, "clip": 1},
    "Xavier": {"init": "xavier"},
    "He": {"init": "he"},
}
"""ReLU with large weights and a learning rate of 0.1, and each remedy alone."""

RATES = ("rate 0.01", "rate 0.001", "rate 0.0001")
MEASURED = {"plain": 0, "bn": 1, "Xavier": 3, "He": 4}
DRAWN = {"plain": 0, "bn": 1, "rate 0.001": 2, "rate 0.0001": 5, "clipping": 6, "He": 4}

EXPLODED = 100.0
"""First over last layer: a learning rate that suits the last layer is a hundred times too large for the first."""

YANG = math.sqrt(math.pi / (math.pi - 1))
"""Yang et al. 2019: by how much each layer of BN and ReLU multiplies the gradient's norm, in wide networks: 1.211."""

GROWING = {"bn, std 0.01": "normal:0.01", "bn, He": "he", "bn, std 1": "normal:1"}
"""The networks of BN and ReLU whose growth is measured, by their initial weights."""

EDGE = 5
"""Layers at each end that are left out of the growth per layer: they depend on the inputs and the outputs."""


def growth(context: Context, width: int, depth: int, batch: int) -> Mapping[str, Any]:
    """The gradient by layer of deep BN networks, and of one without, for random inputs and labels."""
    X, y = torch.randn(batch, width, device=context.device), torch.randint(10, (batch,), device=context.device)
    arms: dict[str, dict[str, Any]] = {arm: {"init": init, "norm": "batch"} for arm, init in GROWING.items()}
    arms["plain, He"] = {"init": "he"}
    found = {}
    for place, (arm, keys) in enumerate(arms.items()):
        settings = Settings(model=f"mlp:{width}x{depth}", activation="relu", outputs=10, **keys)
        network = networks.build(settings, Batch((X,), {}, y, batch)).network.to(context.device)
        found[arm] = shared.backward(network, X, y)
        context.progress((place + 1) / len(arms))
    return found


def plan(asked: Asked) -> list[Trial]:
    """Ten hidden layers of 100 units (twenty at full scale), rate 0.1: ours. Small rates need the number of steps."""
    depth = asked.scale.pick(smoke=5, quick=10, full=20)
    steps = asked.scale.pick(smoke=20, quick=3000, full=10_000)
    seeds = asked.seeds or asked.scale.pick(smoke=1, quick=2, full=3)
    options: dict[str, Any] = {
        "model": f"mlp:100x{depth}", "activation": "relu", "lr": 0.1, "batch_size": 60, "steps": steps,
    } | asked.scale.pick(smoke={"eval_every": steps}, quick={}, full={})  # fmt: skip
    measured = {
        "arms": {arm: {**ARMS[arm], "activation": "relu"} for arm in MEASURED}, "model": options["model"],
    }  # fmt: skip
    grid = {"arms": shared.grid_arms(), "model": f"mlp:100x{asked.scale.pick(smoke=5, quick=20, full=20)}"}
    size = asked.scale.pick(
        smoke={"width": 20, "depth": 14, "batch": 20},
        quick={"width": 256, "depth": 30, "batch": 512},
        full={"width": 1000, "depth": 50, "batch": 1000},
    )
    return [
        Training(ARMS, asked.data, seeds, options),
        *(Measurement("gradients", shared.gradients, measured, seed, asked.data) for seed in range(seeds)),
        Measurement("grid", shared.gradients, grid, data=asked.data),
        *(Measurement("growth", growth, size, seed) for seed in range(asked.scale.pick(smoke=1, quick=3, full=3))),
    ]


def explodes(outcome: Outcome) -> Judged:
    """Whether the gradient of the plain network explodes, and it does not learn."""
    ratios, learned = shared.ratios(outcome, "plain"), shared.learns(outcome, "plain")
    return judged(
        every((unanimous([ratio > EXPLODED for ratio in ratios]), None if learned is None else not learned)),
        f"The gradient at the first hidden layer is {median(ratios):,.0f} times that at the last one; "
        f"{outcome.diverged('plain')} of {len(ratios)} runs diverge, and the best has a validation accuracy of "
        f"{100 * max(shared.accuracies(outcome, 'plain')):.0f} % at the end.",
        ratio=ratios, accuracy=shared.accuracies(outcome, "plain"),
    )  # fmt: skip


def a_small_rate_helps(outcome: Outcome) -> Judged:
    """Whether a learning rate smaller than 0.1 makes the network learn."""
    learned = {arm: shared.learns(outcome, arm) for arm in RATES}
    accuracies = {arm: fmean(shared.accuracies(outcome, arm)) for arm in ("plain", *RATES)}
    said = ", ".join(
        f"diverged ({arm})" if outcome.diverged(arm) == len(outcome.runs[arm]) else f"{100 * value:.0f} % ({arm})"
        for arm, value in accuracies.items()
    )
    some = True if True in learned.values() else None if None in learned.values() else False
    needed = shared.learns(outcome, "plain") is not True
    return judged(
        every((some, needed)),
        f"Validation accuracy at the end: {said}. The ratio of the gradients does not depend on the learning rate.",
        accuracy=accuracies,
    )  # fmt: skip


def per_layer(outcome: Outcome, arm: str) -> list[float]:
    """By seed, the factor by which the gradient's norm grows with each layer on its way back."""
    found = []
    for each in outcome.measured["growth"]:
        logs = [math.log(norm) for norm in each[arm][EDGE:-EDGE]]
        found.append(math.exp(-linear_regression(range(len(logs)), logs).slope))
    return found


def bn_grows_as_published(outcome: Outcome) -> Judged:
    """Whether the growth per layer is Yang's."""
    found, plain = per_layer(outcome, "bn, He"), fmean(per_layer(outcome, "plain, He"))
    layers = len(outcome.measured["growth"][0]["bn, He"])
    return judged(
        unanimous([abs(factor - YANG) < 0.05 for factor in found]),
        f"Each layer multiplies the gradient by {fmean(found):.3f} (published: {YANG:.3f}), {layers} layers by "
        f"{fmean(found) ** layers:,.0f}; without BN each layer multiplies it by {plain:.3f}.",
        factors=found, published=YANG, plain=plain,
    )  # fmt: skip


def the_scale_does_not_matter(outcome: Outcome) -> Judged:
    """Whether the growth is the same for small and large initial weights."""
    found = {arm: fmean(per_layer(outcome, arm)) for arm in GROWING}
    said = ", ".join(f"{factor:.3f} ({arm})" for arm, factor in found.items())
    return judged(max(found.values()) - min(found.values()) < 0.05, f"Factor for each layer: {said}.", factors=found)


def _growth_figure(outcome: Outcome) -> Panel:
    found = outcome.measured["growth"][0]
    depth = len(found["plain, He"])
    layers = range(1, depth + 1)
    published = lines.Line("Yang et al.: 1.21 a layer", layers, [YANG ** (depth - layer) for layer in layers], 6,
                           "published")  # fmt: skip
    ours = [
        lines.Line(arm, layers, [norm / found[arm][-1] for norm in found[arm]], place)
        for place, arm in enumerate(("plain, He", "bn, He", "bn, std 1"))
    ]
    x, y = lines.Axis("hidden layer, from the input"), lines.Axis("gradient norm over that of the last layer", log=True)
    said = "Before training, wide ReLU layers, random inputs. BN's gradients grow toward the input, whatever the scale."
    info = lines.info("BN's own gradients grow with depth", x, y, [*ours, published])
    return drawn("growth", lines, info, said)


def figures(outcome: Outcome) -> list[Panel]:
    """The gradient by layer, the learning curves, the growth with BN, and the grid of activations and weights."""
    return [shared.by_layer(outcome, MEASURED, "by-layer", "The gradient on its way back"),
            shared.learning_curves(outcome, DRAWN), _growth_figure(outcome), shared.grid(outcome)]  # fmt: skip


LEARNS = "a validation accuracy above 50 % at the end in every run, and below it in every run of plain"
LEVEL = (
    "the ratio of first to last layer comes closer to 1 by a factor of ten or more (seeds differ by far less), and "
    "the validation accuracy ends above 50 %, in every run"
)

STUDY = Study(
    name="exploding-gradient",
    title="Large weights let the gradient explode; what a small learning rate, clipping, careful weights and BN do",
    source="notes 000 and 001; Yang et al. 2019",
    notes=("000", "001", "003"),
    claims=(
        Claim(
            "With large initial weights the gradient explodes, and a deep network does not learn.",
            "first over last layer above 100, so that no learning rate suits both, and a validation accuracy below "
            "50 % at the end, in every run",
            explodes,
        ),
        Claim(
            "A small learning rate helps.",
            "with one of 0.01, 0.001 and 0.0001 a validation accuracy above 50 % at the end in every run, and not so "
            "with 0.1",
            a_small_rate_helps,
        ),
        Claim(
            "Clipping the gradient helps.", LEARNS,
            partial(shared.makes_it_learn, arm="clipping", without="plain"),
        ),
        Claim("Careful (He's) initialization helps.", LEVEL, partial(shared.relieves, arm="He", without="plain")),
        Claim(
            "Batch normalization helps, with the large weights kept.", LEVEL,
            partial(shared.relieves, arm="bn", without="plain"),
        ),
        Claim(
            "Before training, the gradients of BN networks grow with depth themselves: by 1.21 for each ReLU layer.",
            "within 0.05 of √(π/(π − 1)), which holds for infinite width and batch, in every seed; no growth is 1, so "
            "that 0.05 is a quarter of the effect; seeds that disagree decide nothing",
            bn_grows_as_published,
        ),
        Claim(
            "No scale of the initial weights takes this growth away.",
            "factors that differ by less than 0.05, a quarter of the growth, between standard deviations of 0.01 and 1",
            the_scale_does_not_matter,
        ),
    ),
    plan=plan,
    figures=figures,
    table=shared.remedies_table,
    see="""Read each line from right to left, the way the gradient goes. A line that rises toward the
    left is a gradient that explodes. Compare the plain network's slope with those of BN, with the same weights, and
    of He's weights.""",
    why="""A ReLU layer of 100 units multiplies a gradient on its way back by about σ·√50, where σ is the standard
    deviation of the weights: 2.1 for σ = 0.3, so that nine layers make nearly 900. The same factor holds for the values
    on their way forward, so that outputs, loss and gradients are all far too large for a learning rate of 0.1.

    A small learning rate and clipping change nothing about the gradients, only how far a step goes: the ratio
    between layers stays. The table has which of the rates are small enough, and how much is learned with them.
    Careful weights and BN change the gradients. BN divides by the standard deviation of what a layer receives,
    which is larger for larger weights, so that σ cancels. What is left is a slow growth of BN's own: ReLU lets half
    of the gradient's square pass, a factor of √½, but what it puts out for inputs with standard deviation 1 has the
    variance (π − 1)/2π, and BN divides by the root of that. Together they make √(π/(π − 1)) = 1.21 a layer: about 7
    in ten layers and 14,000 in fifty, where training gets hard again.""",
    changes="""The size of the weights: the larger σ, the smaller the learning rate must be, and the more steps it
    takes. tanh in place of ReLU bounds the values but not the gradients (see the grid). Of BN's own growth Yang et
    al. find that activations close to linear have less of it, and that the first training step already takes much of
    it away.""",
    quick_seconds=30,
    full="twenty hidden layers, 10,000 steps, 3 seeds; growth at width 1,000 and depth 50; 10 minutes",
    data="mnist",
    alternatives=("fashion-mnist", "digits"),
)  # fmt: skip
