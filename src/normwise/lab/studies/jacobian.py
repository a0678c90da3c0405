"""Section 3.3: the conjecture that batch normalization brings the singular values of a layer's Jacobian close to 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from math import inf, isnan, nan
from statistics import fmean

from normwise.figures import histograms, lines
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.drawing import drawn
from normwise.lab.reproduction.judging import every, unanimous
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Measurement, Study, judged
from normwise.lab.studies.shared.jacobian import BINS, HIGHEST, LAYERS, LOWEST, NEAR, WIDTH, trained
from normwise.report import Table

ACTIVATIONS = {"relu": "ReLU", "tanh": "tanh", "sigmoid": "sigmoid"}
WEIGHTS = {"He": None, "N(0, 0.01²)": 0.01}
MOMENTS = ("initial", "trained")
NORMS = {"plain": False, "BN": True}

CLEAR = 0.05
"""What counts as a larger share; ours."""


def plan(asked: Asked) -> list[Measurement]:
    """Every activation, with both kinds of weights, with and without BN."""
    steps = asked.scale.pick(smoke=2, quick=500, full=10_000)
    seeds = asked.seeds or asked.scale.pick(smoke=1, quick=2, full=5)
    return [
        Measurement(
            _name(norm, weights, activation),
            trained,
            {"activation": activation, "std": std, "norm": with_norm, "steps": steps},
            seed,
            asked.data,
        )
        for activation in ACTIVATIONS
        for weights, std in WEIGHTS.items()
        for norm, with_norm in NORMS.items()
        for seed in range(seeds)
    ]


def _name(norm: str, weights: str, activation: str) -> str:
    return f"{norm}, {weights}, {ACTIVATIONS[activation]}"


def _values(outcome: Outcome, name: str, moment: str, what: str) -> list[float]:
    """Of each seed; of the whole stack the size of its singular values."""
    found = [run[moment][what] for run in outcome.measured[name]]
    found = [each[-1] for each in found] if what == "stack" else found
    return [nan if value is None else value for value in found]


def _by_setting(outcome: Outcome, norm: str, what: str, weights: str = "") -> dict[str, list[float]]:
    """By activation, weights and moment, the values of the seeds."""
    return {
        f"{ACTIVATIONS[activation]}, {each}, {moment}": _values(outcome, _name(norm, each, activation), moment, what)
        for activation in ACTIVATIONS
        for each in WEIGHTS
        if weights in ("", each)
        for moment in MOMENTS
    }


def _means(values: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {name: fmean(each) for name, each in values.items()}


def _within(values: Mapping[str, Sequence[float]], low: float, high: float) -> bool | None:
    """Whether every setting lies between both in all seeds; None where seeds disagree and no setting fails in all."""
    if any(map(isnan, chain(*values.values()))):
        return None
    return every(unanimous([low < value < high for value in each]) for each in values.values())


def _extremes(values: Mapping[str, float], percent: bool = False) -> str:
    low, high = min(values, key=values.__getitem__), max(values, key=values.__getitem__)
    said = [f"{100 * values[key]:.0f} %" if percent else f"{values[key]:.3g}" for key in (low, high)]
    return f"{said[0]} ({low}) to {said[1]} ({high})"


def all_are_near_one(outcome: Outcome) -> Judged:
    """Whether nine of ten singular values lie between 0.5 and 2 with BN, in every setting."""
    near = _by_setting(outcome, "BN", "near")
    return judged(
        _within(near, 0.9, inf),
        f"With BN, from {_extremes(_means(near), percent=True)} of the singular values lie between {NEAR[0]:g} and "
        f"{NEAR[1]:g}.",
        near=near,
    )  # fmt: skip


def typical_is_near_one(outcome: Outcome) -> Judged:
    """Whether their root mean square is within a factor of 2 of 1 with BN, in every setting."""
    gains = _by_setting(outcome, "BN", "gain")
    return judged(
        _within(gains, *NEAR),
        f"With BN the root mean square of a layer's singular values is from {_extremes(_means(gains))}.",
        gains=gains,
    )


def closer(outcome: Outcome, weights: str) -> Judged:
    """Whether BN has more singular values near 1 with these initial weights."""
    plain, bn = (_by_setting(outcome, norm, "near", weights) for norm in NORMS)
    gains = [a - b for name in bn for a, b in zip(bn[name], plain[name], strict=True)]
    verdict = True if all(gain > CLEAR for gain in gains) else False if all(gain < -CLEAR for gain in gains) else None
    means = {name: (100 * fmean(bn[name]), 100 * fmean(plain[name])) for name in bn}
    said = "; ".join(f"{name}: {a:.0f} % and {b:.0f} %" for name, (a, b) in means.items())
    return judged(
        verdict,
        f"The share between {NEAR[0]:g} and {NEAR[1]:g} is, with BN and without: {said}.",
        bn=bn, plain=plain,
    )  # fmt: skip


def stack_keeps_gradients(outcome: Outcome) -> Judged:
    """Whether the layers together multiply a gradient by 0.1 to 10 with BN, in every setting."""
    gains = _by_setting(outcome, "BN", "stack")
    return judged(
        _within(gains, 0.1, 10),
        f"With BN, {LAYERS - 1} layers together multiply the root mean square of a gradient by "
        f"{_extremes(_means(gains))}.",
        gains=gains,
    )


def figures(outcome: Outcome) -> list[Panel]:
    """Histograms of the singular values, and the gain of a stack of layers."""
    step = (HIGHEST - LOWEST) / BINS
    edges = [LOWEST + step * at for at in range(BINS + 1)]
    rows = []
    for weights in WEIGHTS:
        for place, norm in enumerate(NORMS):
            cells = []
            for activation in ACTIVATIONS:
                for moment in MOMENTS:
                    runs = outcome.measured[_name(norm, weights, activation)]
                    counts = [sum(column) for column in zip(*(run[moment]["counts"] for run in runs), strict=True)]
                    near = fmean(_values(outcome, _name(norm, weights, activation), moment, "near"))
                    cells.append(histograms.Cell(edges, counts, f"{100 * near:.0f} %"))
            rows.append(histograms.Row(f"{norm}, {weights}", cells, place))
    columns = [f"{name}, {moment}" for name in ACTIVATIONS.values() for moment in MOMENTS]
    label = "power of ten of a singular value, zeros at the left; in the corner the share from 0.5 to 2"
    shown = histograms.info("Singular values of the layers' Jacobians", label, columns, rows)
    return [drawn("singular-values", histograms, shown), _stacks(outcome)]


def _stacks(outcome: Outcome) -> Panel:
    frames = []
    for activation, title in ACTIVATIONS.items():
        series = []
        for place, norm in enumerate(NORMS):
            for weights in WEIGHTS:
                runs = outcome.measured[_name(norm, weights, activation)]
                columns = zip(*(run["initial"]["stack"] for run in runs), strict=True)
                gains = [fmean(nan if value is None else value for value in column) for column in columns]
                look: lines.Look = "solid" if weights == "He" else "dotted"
                series.append(lines.Line(f"{norm}, {weights}", range(1, len(gains) + 1), gains, place, look))
        frames.append(lines.Frame(title, series))
    y = lines.Axis("root mean square of singular values", log=True)
    info = lines.info("Layers in a row, at the beginning", lines.Axis("layers", limits=(0, 5)), y, frames, 3)
    return drawn("stack", lines, info, "By what a gradient is multiplied on its way back through so many layers.")


def table(outcome: Outcome) -> Table:
    """Share near 1, zeros and root mean square before and after training."""
    rows = []
    for name in outcome.measured:
        cells = []
        for moment in MOMENTS:
            near, zero, gain = (fmean(_values(outcome, name, moment, what)) for what in ("near", "zero", "gain"))
            cells += [f"{100 * near:.0f} %", f"{100 * zero:.0f} %", f"{gain:.3g}"]
        rows.append([name, *cells])
    columns = [f"{what}, {moment}" for moment in MOMENTS for what in ("0.5 to 2", "below 10⁻⁴", "rms")]
    return Table(
        f"Singular values of the Jacobians of {LAYERS - 1} layers of {WIDTH} units at 20 examples: shares and root "
        "mean square, means over the seeds.",
        ["network", *columns],
        rows,
    )


STUDY = Study(
    name="jacobian",
    title="Are the singular values of the Jacobian of a layer close to 1 with batch normalization?",
    source="Ioffe and Szegedy 2015, section 3.3, a conjecture; Yang et al. 2019",
    notes=(),
    claims=(
        Claim(
            "BN brings all singular values of a layer's Jacobian close to 1.",
            "nine of ten (ours: all but a few) lie between 0.5 and 2 in every seed, for every activation and weights, "
            "at the beginning and after training; 68 % do so for a random matrix of the right size",
            all_are_near_one,
        ),
        Claim(
            "BN brings their typical size close to 1, so that a layer keeps the magnitude of gradients.",
            "the root mean square lies between 0.5 and 2 (ours) in every setting and seed; a setting in which no seed "
            "has it there refutes it",
            typical_is_near_one,
        ),
        Claim(
            "With small initial weights more of them are close to 1 with BN than without.",
            "a share between 0.5 and 2 that is larger by more than 5 points (ours: a difference that matters) in every "
            "setting and seed; mixed results or smaller differences decide nothing",
            partial(closer, weights="N(0, 0.01²)"),
        ),
        Claim("The same with He's initial weights.", "as above", partial(closer, weights="He")),
        Claim(
            "BN preserves the magnitude of gradients over several layers.",
            "the product of four layers' Jacobians has a root mean square singular value between 0.1 and 10 (ours), in "
            "every setting and seed",
            stack_keeps_gradients,
        ),
    ),
    plan=plan,
    figures=figures,
    table=table,
    see="""Each histogram has the singular values of a layer's Jacobian, as powers of ten: 0 is the singular value 1. If
    the conjecture held, blue would be one peak at 0. ReLU's slope is 0 for about half of the units, and as many
    singular values are zero, with and without BN: the bar at the left.""",
    why="""The paper's argument: let x̂ and ẑ be the normalized inputs of two activations in turn. If both were
    uncorrelated and the layer between them linear, I = Cov[ẑ] = J·Cov[x̂]·Jᵀ = J·Jᵀ, and all singular values would be
    1. BN normalizes each feature and leaves correlations: only the diagonal of J·Cov[x̂]·Jᵀ is 1. While the features
    are hardly correlated, as with random weights, that fixes the sum of the squares of the singular values, but not
    each of them. Where a few directions carry the variance, as after small weights, the others turn out small.

    The Jacobian here is that of one example, ẑ as a function of x̂, with the statistics of 500 examples held fixed.
    ReLU sets half of the columns to zero. The rest is scaled so that variances, and not mean squares, are 1, which
    makes the root mean square √(π/(π − 1)) ≈ 1.21 instead of 1 in wide random layers: the factor by which gradients
    grow with each layer after Yang et al. 2019.""",
    changes="""Orthogonal weights have equal singular values, which BN does not undo but for ReLU's half. Whitening
    makes Cov[ẑ] = I. More layers raise 1.21 to their number: with fifty the gradient of the first is 10⁴ times that of
    the last. With respect to a whole batch the Jacobian has two more zeros for each feature: BN undoes a shift and a
    scale that all examples share.""",
    quick_seconds=15,
    full="10,000 steps, 5 seeds; 8 minutes",
    data="mnist",
    alternatives=("fashion-mnist", "digits"),
)
