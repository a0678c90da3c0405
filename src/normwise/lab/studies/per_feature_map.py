"""Section 3.2 of the paper: one γ and one β for each feature map, or for each activation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import fmean
from typing import Any

import torch
from torch import nn

from normwise.figures import dots
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.context import Context
from normwise.lab.reproduction.drawing import drawn, spread
from normwise.lab.reproduction.judging import PAIRED, less_at_best
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Measurement, Study, Training, Trial, judged
from normwise.lab.studies.networks.feature_maps import network
from normwise.report import Table

KINDS = {"none": "none", "per feature map": "map", "per activation": "activation"}
FACTORIES = {"none": "network", "per feature map": "per_map", "per activation": "per_activation"}
NETWORKS = "normwise.lab.studies.networks.feature_maps"


def plan(asked: Asked) -> list[Trial]:
    """The same network three times, and what the first normalization makes of images that are moved."""
    steps = asked.scale.pick(smoke=2, quick=300, full=6000)
    seeds = asked.seeds or asked.scale.pick(smoke=1, quick=3, full=5)
    options = {"steps": steps, "lr": 0.1, "init": "he"}
    trials: list[Trial] = [
        Training({kind: {}}, asked.data, seeds, {"model": f"{NETWORKS}:{factory}", **options})
        for kind, factory in FACTORIES.items()
    ]
    return [*trials, *(Measurement(kind, moved, {"kind": KINDS[kind]}) for kind in KINDS)]


def moved(context: Context, kind: str) -> Mapping[str, Any]:
    """The parameters of the network, and whether its first normalized maps move with the image.

    Images of noise have that property or not as well as digits. The running statistics are those of 200 images, γ and β
    are drawn at random. The images are rolled by five pixels; maps are compared in the middle, where the border of the
    convolution does not reach.
    """
    net = network(kind).to(context.device)
    X = torch.rand(200, 1, 28, 28, device=context.device)
    net.train()(X)
    first = nn.Sequential(*list(net)[: 1 if kind == "none" else 2]).eval()
    with torch.no_grad():
        for parameter in first[1:].parameters():
            parameter.uniform_(0.5, 1.5)
        inside = slice(8, 20)
        a = first(X).roll((5, 5), (2, 3))[:, :, inside, inside]
        b = first(X.roll((5, 5), (2, 3)))[:, :, inside, inside]
    parameters = [p for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) for p in m.parameters()]
    return {
        "normalization": sum(each.numel() for each in parameters),
        "all": sum(each.numel() for each in net.parameters()),
        "off": ((a - b).square().mean().sqrt() / a.std()).item(),
    }


def a_pair_for_each_map(outcome: Outcome) -> Judged:
    """Whether normalization has two parameters for each map, and as many times more as there are positions."""
    counts = {kind: outcome.measured[kind][0]["normalization"] for kind in KINDS}
    maps, activations = counts["per feature map"], counts["per activation"]
    return judged(
        maps == 2 * (8 + 16) and activations == 2 * (8 * 28**2 + 16 * 14**2),
        f"Normalization has {maps:,} parameters with one pair for each of the 24 maps, and {activations:,} with one "
        f"for each activation; everything else has {outcome.measured['none'][0]['all']:,}.",
        **{kind.replace(" ", "_"): count for kind, count in counts.items()},
    )  # fmt: skip


def maps_move_with_the_image(outcome: Outcome) -> Judged:
    """Whether normalization per map, and only that, keeps the convolutional property."""
    off = {kind: outcome.measured[kind][0]["off"] for kind in KINDS}
    return judged(
        off["per feature map"] < 1e-4 and off["per activation"] > 1e-2,
        "Where the image moves by five pixels, the normalized maps of the first layer move with it up to a relative "
        f"difference of {off['per feature map']:.1g} per feature map, and {off['per activation']:.2g} per activation.",
        **{kind.replace(" ", "_"): value for kind, value in off.items()},
    )  # fmt: skip


def maps_generalize_better(outcome: Outcome) -> Judged:
    """Which kind has the higher test accuracy."""
    maps, activations = outcome.test("per feature map"), outcome.test("per activation")
    ahead = less_at_best(outcome.runs["per feature map"], outcome.runs["per activation"])
    return judged(
        ahead.positive,
        f"Test accuracy {spread(maps, 2, percent=True)} per feature map and {spread(activations, 2, percent=True)} per "
        f"activation, a difference of {ahead.write(digits=2)}.",
        per_feature_map=maps, per_activation=activations, interval=ahead.interval,
    )  # fmt: skip


def gaps(outcome: Outcome, kind: str) -> list[float]:
    """How much higher the training accuracy is than the test accuracy, at the best step of each run."""
    return [a - b for a, b in zip(outcome.at_best(kind, "train"), outcome.test(kind), strict=True)]


def figures(outcome: Outcome) -> list[Panel]:
    """The test accuracy of each kind."""
    rows = [
        dots.Row(kind, fmean(values or [math.nan]), singles=tuple(values), note=f"{count:,} parameters")
        for kind in KINDS
        for values, count in [(outcome.test(kind), outcome.measured[kind][0]["normalization"])]
    ]
    info = dots.info("One γ and β per feature map, or per activation", "test accuracy, higher is better", rows,
                     percent=True, small="one seed", large="mean of the seeds")  # fmt: skip
    return [drawn("accuracy", dots, info)]


def table(outcome: Outcome) -> Table:
    """Parameters, accuracy, gap, and how far the maps are from moving with the image."""
    rows = []
    for kind in KINDS:
        found = outcome.measured[kind][0]
        rows.append([
            kind, f"{found['normalization']:,}", f"{found['all']:,}", spread(outcome.test(kind), 2, percent=True),
            spread([100 * each for each in gaps(outcome, kind)]), f"{found['off']:.1g}",
        ])  # fmt: skip
    caption = (
        "Parameters of normalization and of the whole network; mean ± standard deviation over the seeds; training "
        "minus test accuracy; relative difference between normalizing a moved image and moving a normalized one."
    )
    columns = ["normalized", "its parameters", "all parameters", "test accuracy", "gap, points", "off when moved"]
    return Table(caption, columns, rows)


STUDY = Study(
    name="per-feature-map",
    title="One γ and β for each feature map: few parameters, and a normalized map still moves with the image",
    source="Ioffe and Szegedy 2015, section 3.2; the code behind note 004 does otherwise",
    notes=("003",),
    claims=(
        Claim(
            "A convolutional layer learns one pair γ, β for each feature map instead of one for each activation.",
            "arithmetic rather than an experiment: parameters are counted, 2·C for each layer against 2·C·H·W, which "
            "checks that both networks are what they are called",
            a_pair_for_each_map,
        ),
        Claim(
            "Different elements of a map are then normalized in the same way, so that the convolutional property is "
            "kept: where the image moves, the maps move.",
            "a relative difference below 10⁻⁴, the rounding of float32, per map; above 1 % per activation",
            maps_move_with_the_image,
        ),
        Claim(
            "Normalizing per feature map gives the higher test accuracy.",
            f"of the difference {PAIRED}; the paper gives no number, this claim is ours",
            maps_generalize_better,
        ),
    ),
    plan=plan,
    figures=figures,
    table=table,
    see="""The two kinds of normalization beside none, with the number of parameters that each adds. The small dots
    are the seeds: read a difference only where they lie apart.""",
    why="""A convolution applies the same weights at every position. Normalizing per map does the same: mean and
    variance run over the batch and all positions, m' = m·p·q values, and every position gets the same γ and β. Per
    activation each position has its own, from m values only, so that the same stroke is scaled differently in each
    corner.

    The layer behind note 004 flattens images of (N, C, H, W) to (N, C·H·W) and normalizes every column. That is the
    rule for fully connected layers. It costs 18,816 parameters instead of 48; whether it costs accuracy,
    although the digits of MNIST are centered, is the third claim.""",
    changes="""Images whose objects lie anywhere need the convolutional property more. Small batches hurt statistics
    per activation sooner, because m values are fewer than m·p·q.""",
    quick_seconds=25,
    full="6,000 steps, 5 seeds; about 15 minutes",
    data="mnist",
    alternatives=("fashion-mnist",),
)
