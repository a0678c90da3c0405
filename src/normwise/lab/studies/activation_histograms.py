"""Note 004: what five layers put out for each initialization and activation, before training."""

from __future__ import annotations

from itertools import pairwise
from math import sqrt
from typing import Any

from normwise.figures import histograms, scales
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.drawing import drawn
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Measurement, Study, judged
from normwise.lab.studies.shared.layer_outputs import ACTIVATIONS, BINS, LAYERS, RANGES, STDS, name, outputs
from normwise.report import Table

UNIFORM = 1 / sqrt(12)
"""The standard deviation of the uniform distribution on (0, 1)."""


def plan(_: Asked) -> list[Measurement]:
    """The book's size at every scale; it takes no time."""
    return [Measurement("outputs", outputs)]


def layers_of(outcome: Outcome, activation: str, weights: str, norm: bool = False) -> list[dict[str, Any]]:
    """What was found of each layer."""
    found: list[dict[str, Any]] = outcome.measured["outputs"][0][name(activation, weights, norm)]
    return found


def stds(outcome: Outcome, activation: str, weights: str, norm: bool = False) -> list[float]:
    """The standard deviation of each layer's outputs."""
    return [layer["std"] for layer in layers_of(outcome, activation, weights, norm)]


def large_weights_pile_up(outcome: Outcome) -> Judged:
    """Whether sigmoid's outputs are near 0 and 1 for std 1."""
    shares = [layer["near_ends"] for layer in layers_of(outcome, "sigmoid", "std 1")]
    return judged(
        min(shares) > 0.5,
        f"Within 0.1 of 0 or 1 are {100 * min(shares):.0f} % of the outputs or more, in every layer; of values spread "
        "evenly it would be 20 %.",
        shares=shares,
    )  # fmt: skip


def small_weights_collapse(outcome: Outcome) -> Judged:
    """Whether sigmoid's outputs are near one half for std 0.01."""
    shares = [layer["near_middle"] for layer in layers_of(outcome, "sigmoid", "std 0.01")]
    spread = stds(outcome, "sigmoid", "std 0.01")
    return judged(
        min(shares) > 0.99,
        f"Within 0.1 of one half are {100 * min(shares):.1f} % of the outputs or more; their standard deviation is "
        f"{max(spread):.3f} or less.",
        shares=shares, std=spread,
    )  # fmt: skip


def xavier_spreads(outcome: Outcome) -> Judged:
    """Whether sigmoid's outputs are spread with Xavier's weights, and do not pile up."""
    found = layers_of(outcome, "sigmoid", "Xavier")
    spread, ends = [layer["std"] for layer in found], [layer["near_ends"] for layer in found]
    return judged(
        min(spread) > UNIFORM / 3 and max(ends) < 0.2,
        f"The standard deviation goes from {spread[0]:.2f} in the first layer to {spread[-1]:.2f} in the last "
        f"(values spread evenly have {UNIFORM:.2f}); at most {100 * max(ends):.0f} % are within 0.1 of 0 or 1.",
        std=spread, near_ends=ends,
    )  # fmt: skip


def _last_over_first(outcome: Outcome, weights: str) -> tuple[list[float], float]:
    spread = stds(outcome, "ReLU", weights)
    return spread, spread[-1] / spread[0]


def relu_collapses(outcome: Outcome) -> Judged:
    """Whether ReLU's outputs go to zero for std 0.01."""
    spread, ratio = _last_over_first(outcome, "std 0.01")
    return judged(
        ratio < 0.01,
        f"The standard deviation falls from {spread[0]:.2g} to {spread[-1]:.1g}, to {ratio:.1g} of the first layer's.",
        std=spread,
    )  # fmt: skip


def xavier_shrinks(outcome: Outcome) -> Judged:
    """Whether ReLU's outputs shrink from layer to layer with Xavier's weights."""
    spread, ratio = _last_over_first(outcome, "Xavier")
    shrinks = all(b < a for a, b in pairwise(spread))
    return judged(
        shrinks and ratio < 0.5,
        f"The standard deviation falls from {spread[0]:.2f} to {spread[-1]:.2f}, to {100 * ratio:.0f} % of the first "
        "layer's.",
        std=spread,
    )  # fmt: skip


def he_keeps(outcome: Outcome) -> Judged:
    """Whether ReLU's outputs keep their spread with He's weights."""
    spread, ratio = _last_over_first(outcome, "He")
    return judged(
        0.5 < ratio < 2,
        f"The standard deviation goes from {spread[0]:.2f} to {spread[-1]:.2f}, a factor of {ratio:.2f}.",
        std=spread,
    )  # fmt: skip


def bn_keeps_whatever_the_scale(outcome: Outcome) -> Judged:
    """Whether with BN the outputs of all layers have the same spread, for every scale of the weights."""
    off, spreads = {}, {}
    for activation in ACTIVATIONS:
        every = [std for weights in STDS for std in stds(outcome, activation, weights, norm=True)]
        off[activation], spreads[activation] = max(every) / min(every) - 1, (min(every), max(every))
    said = ", ".join(f"{low:.3f} to {high:.3f} ({name})" for name, (low, high) in spreads.items())
    return judged(
        max(off.values()) < 0.1,
        f"Over all layers and all four initializations the standard deviation is {said}.",
        spread=spreads,
    )  # fmt: skip


def _figure(outcome: Outcome, activation: str, norm: bool = False, caption: str = "") -> Panel:
    low, high = (round(edge, 6) for edge in RANGES[activation])
    edges = [low + (high - low) * place / BINS for place in range(BINS + 1)]
    rows = [
        histograms.Row(
            weights,
            [
                histograms.Cell(edges, layer["counts"], scales.plain(float(f"{layer['std']:.2g}")))
                for layer in layers_of(outcome, activation, weights, norm)
            ],
            1 if norm else 0,
        )
        for weights in STDS
        if norm or (activation, weights) != ("ReLU", "std 1")
    ]
    columns = [f"layer {layer + 1}" for layer in range(LAYERS)]
    title = f"What five {activation} layers put out{', with BN' if norm else ''}"
    info = histograms.info(title, "output; at the top right, the standard deviation", columns, rows)
    return drawn(f"{activation.lower()}{'-bn' if norm else ''}", histograms, info, caption)


def figures(outcome: Outcome) -> list[Panel]:
    """Sigmoid as in the book, sigmoid with BN, ReLU and tanh."""
    return [
        _figure(outcome, "sigmoid"),
        _figure(
            outcome, "sigmoid", norm=True, caption="The same weights with BN before each sigmoid; compare the rows."
        ),
        _figure(
            outcome, "ReLU", caption="Outputs above 0; the others are exactly 0. With std 1 they are too large to draw."
        ),
        _figure(outcome, "ReLU", norm=True, caption="The same weights with BN before each ReLU; outputs above 0."),
        _figure(outcome, "tanh", caption="tanh, without BN."),
    ]


def table(outcome: Outcome) -> Table:
    """A row per network: the spread in the first and the last layer, without and with BN."""
    rows = []
    for activation in ACTIVATIONS:
        for weights in STDS:
            ends = [stds(outcome, activation, weights, norm) for norm in (False, True)]
            rows.append([name(activation, weights), *(f"{each[at]:.3g}" for each in ends for at in (0, -1))])
    said = "Standard deviation of the outputs of 1,000 examples, over all units of a layer."
    return Table(said, ["", "plain, layer 1", "plain, layer 5", "BN, layer 1", "BN, layer 5"], rows)


STUDY = Study(
    name="activation-histograms",
    title="The initial weights decide how what a layer puts out is distributed, unless BN does",
    source="Deep Learning from Scratch, chapter 6.2.2; note 004",
    notes=("000", "001", "003", "004"),
    claims=(
        Claim(
            "With sigmoid and weights of standard deviation 1 the outputs pile up at 0 and 1.",
            "more than half within 0.1 of 0 or 1 in every layer (half is ours); of values spread evenly it is a fifth",
            large_weights_pile_up,
        ),
        Claim(
            "With sigmoid and weights of standard deviation 0.01 they collapse to one half.",
            "more than 99 % within 0.1 of one half in every layer, which is ours; of even values it is a fifth",
            small_weights_collapse,
        ),
        Claim(
            "With sigmoid and Xavier's weights they are spread out.",
            "in every layer a standard deviation above a third of that of values spread evenly, and fewer than such "
            "values have, a fifth, within 0.1 of 0 or 1",
            xavier_spreads,
        ),
        Claim(
            "With ReLU and weights of standard deviation 0.01 the outputs collapse to 0.",
            "the standard deviation in the last layer is below a hundredth of that in the first: ours, far from 1, no "
            "collapse, and from 0.07⁴ = 2·10⁻⁵, what four layers of 100 such weights leave by calculation",
            relu_collapses,
        ),
        Claim(
            "With ReLU and Xavier's weights they shrink with depth.",
            "smaller in each layer than in the one before, and below half of the first layer's in the last: between "
            "1, no shrinking, and (√½)⁴ = ¼, what is left by calculation",
            xavier_shrinks,
        ),
        Claim(
            "With ReLU and He's weights they keep their spread.",
            "between half and twice the first layer's in the last; random weights of 100 units vary by a tenth a layer",
            he_keeps,
        ),
        Claim(
            "With batch normalization they keep their spread, whatever the scale of the weights.",
            "standard deviations that differ by less than a tenth over all layers and all four initializations, for "
            "each activation: ours, far above what 1,000 examples leave to chance, a few hundredths, and below the "
            "factor of 1.4 a layer that the wrong scale costs ReLU without BN",
            bn_keeps_whatever_the_scale,
        ),
    ),
    plan=plan,
    figures=figures,
    table=table,
    see="""Each row is one choice of initial weights, each column a layer. Outputs near 0 or 1 are where sigmoid's
    slope is close to 0 and hardly any gradient passes. Where all outputs are near 0.5, units say the same whatever the
    input, and a hundred of them do the work of one. Compare the rows in the last layer.""",
    why="""A unit adds up 100 products. If its inputs have mean square q and its weights standard deviation σ, the sum
    has standard deviation σ·√(100·q). The first layer's inputs have q = 1, which makes 10 for σ = 1, 0.1 for σ = 0.01
    and 1 for Xavier's σ = 0.1. Sigmoid of values around ±10 is 0 or 1; of values around ±0.1 it is about 0.5.

    ReLU sets half of the values to 0 and halves their mean square. Xavier's weights do not make up for that, so that
    the spread falls by √½ with each layer; He's σ = √(2/n) has just the 2 that is missing. Batch normalization gives
    each unit's sum mean 0 and standard deviation 1, so that the activation always receives the same.""",
    changes="""The width: the rules contain n. Inputs whose mean is not 0. Training: the weights change, and with
    them the distributions, which BN holds in place (see figure-1bc and covariate-shift).""",
    quick_seconds=3,
    full="the same",
)
