"""Section 3.3: weights scaled by a do not change what batch normalization puts out, and get 1/a of the gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan
from statistics import fmean
from typing import Any

from normwise.figures import lines
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.curves import curve
from normwise.lab.reproduction.drawing import accuracy_table, drawn
from normwise.lab.reproduction.judging import every, less_at_best
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Measurement, Study, Training, judged
from normwise.lab.studies.shared.scale_invariance import FACTORS, layer

TINY, DEFAULT = 1e-12, 1e-5
SCALES = (0.01, 0.1, 1, 10, 100)
USUAL = 0.1
"""The standard deviation of the weights at scale 1: 1/√100, for layers of 100 inputs; ours."""

CLOSE = 0.05
"""Of accuracy: about five times what seeds differ by after so few steps."""

NOISE = 0.01
"""A scale whose accuracy is so near the border of 5 points could be counted either way."""


def plan(asked: Asked) -> list[Training | Measurement]:
    """The layer with two ε, and networks with weights of five scales."""
    steps = asked.scale.pick(smoke=10, quick=800, full=10_000)
    options = {"model": "mlp:100x3", "activation": "relu", "lr": 0.1, "batch_size": 60, "steps": steps}
    arms = {
        _arm(norm, scale): {"init": f"normal:{scale * USUAL:g}", "norm": norm}
        for norm in ("none", "batch")
        for scale in SCALES
    }
    seeds = asked.seeds or asked.scale.pick(smoke=1, quick=2, full=5)
    measured = [Measurement(f"layer, ε = {eps:g}", layer, {"eps": eps}) for eps in (TINY, DEFAULT)]
    return [*measured, Training(arms, asked.data, seeds, options)]


def _arm(norm: str, scale: float) -> str:
    return f"{'BN' if norm == 'batch' else 'plain'} × {scale:g}"


def _layer(outcome: Outcome, eps: float) -> Mapping[str, Any]:
    return outcome.measured[f"layer, ε = {eps:g}"][0]


def outputs_stay(outcome: Outcome) -> Judged:
    """Whether BN((aW)u) = BN(Wu) and ∂/∂u are as with a = 1."""
    found = _layer(outcome, TINY)
    most = {name: max(found[name]) for name in ("output", "inputs", "network")}
    return judged(
        max(most.values()) < 1e-6,
        f"Over a from 0.01 to 100, with ε = 10⁻¹², the output changes by at most {most['output']:.1g} of its largest "
        f"value, the gradient of u by {most['inputs']:.1g}, and the output of three such layers by "
        f"{most['network']:.1g}.",
        **most,
    )  # fmt: skip


def gradients_shrink(outcome: Outcome) -> Judged:
    """Whether ∂/∂(aW) is 1/a of ∂/∂W."""
    found = _layer(outcome, TINY)
    most = max(found["weights"])
    return judged(
        most < 1e-6,
        f"a·∂/∂(aW) differs from ∂/∂W by at most {most:.1g} of its largest entry. The gradient is "
        f"{found['norms'][0]:.4g} times as long at a = 0.01, and {found['norms'][-1]:.4g} times at a = 100.",
        off=most, norms=found["norms"],
    )  # fmt: skip


def holds_with_the_usual_epsilon(outcome: Outcome) -> Judged:
    """Whether ε = 10⁻⁵ leaves the same within one percent."""
    found = _layer(outcome, DEFAULT)
    most = {name: max(found[name]) for name in ("output", "inputs", "weights", "network")}
    worst = max(zip(found["output"], FACTORS, strict=True))
    return judged(
        max(most.values()) < 0.01,
        f"With ε = 10⁻⁵ the output changes by up to {100 * worst[0]:.1f} % (at a = {worst[1]:g}), the gradient of u by "
        f"{100 * most['inputs']:.1f} %, and the output of three such layers by {100 * most['network']:.1f} %.",
        **most,
    )  # fmt: skip


def _accuracies(outcome: Outcome, norm: str) -> list[float]:
    return [fmean(outcome.test(_arm(norm, scale)) or [0.0]) for scale in SCALES]


def _said(values: list[float]) -> str:
    return ", ".join(f"{100 * value:.1f}" for value in values)


def learns_at_every_scale(outcome: Outcome) -> Judged:
    """Whether BN reaches the same accuracy at each scale."""
    found = _accuracies(outcome, "batch")
    best = max(SCALES, key=lambda scale: found[SCALES.index(scale)])
    runs = [outcome.runs[_arm("batch", scale)] for scale in SCALES]
    behind = [less_at_best(each, outcome.runs[_arm("batch", best)]) for each in runs]
    answers = [False if not any(run.best for run in each) else gap.above(-CLOSE)
               for each, gap in zip(runs, behind, strict=True)]  # fmt: skip
    return judged(
        every(answers),
        f"With BN the test accuracy is {_said(found)} % with weights × {', '.join(f'{scale:g}' for scale in SCALES)}.",
        accuracy=found,
    )


def is_more_resilient(outcome: Outcome) -> Judged:
    """Whether BN learns over a wider range of scales than the plain network."""
    plain, bn = (_accuracies(outcome, norm) for norm in ("none", "batch"))
    best = max(plain + bn)
    counts = [sum(value > best - CLOSE for value in values) for values in (plain, bn)]
    near = [value for value in plain + bn if abs(value - (best - CLOSE)) < NOISE]
    return judged(
        None if near or counts[0] == counts[1] else counts[1] > counts[0],
        f"Within 5 points of the best are {counts[1]} of 5 scales with BN and {counts[0]} without, where the accuracy "
        f"is {_said(plain)} %.",
        plain=plain, bn=bn,
    )  # fmt: skip


def figures(outcome: Outcome) -> list[Panel]:
    """What changes with a, accuracy over the scale, and training loss of BN at each scale."""
    return [_changes(outcome), _accuracy(outcome), _losses(outcome)]


def _changes(outcome: Outcome) -> Panel:
    usual, tiny = _layer(outcome, DEFAULT), _layer(outcome, TINY)

    def line(name: str, values: Sequence[float], place: int, look: lines.Look = "solid") -> lines.Line:
        there = [nan if a == 1 else value for a, value in zip(FACTORS, values, strict=True)]
        return lines.Line(name, FACTORS, there, place, look)

    series = [
        line("no BN", [abs(a - 1) for a in FACTORS], 0),
        line("BN, ε = 10⁻⁵", usual["output"], 1),
        line("three layers, ε = 10⁻⁵", usual["network"], 1, "dotted"),
        line("BN, ε = 10⁻¹²", tiny["output"], 2),
    ]
    y = lines.Axis("largest change of the output, relative", log=True)
    info = lines.info(
        "The output of a layer whose weights are scaled",
        lines.Axis("a, by which the weights are multiplied", log=True),
        y,
        series,
    )
    return drawn("output", lines, info)


def _accuracy(outcome: Outcome) -> Panel:
    series = [
        lines.Line(name, SCALES, _accuracies(outcome, norm), place)
        for place, (name, norm) in enumerate((("plain", "none"), ("BN", "batch")))
    ]
    x, y = lines.Axis("scale of all initial weights", log=True), lines.Axis("test accuracy", percent=True)
    return drawn(
        "accuracy",
        lines,
        lines.info("Networks with scaled weights, trained", x, y, series),
        "Each point is the mean over the seeds.",
    )


def _losses(outcome: Outcome) -> Panel:
    frames = []
    for norm, name in (("none", "plain"), ("batch", "BN")):
        series = [
            lines.Line(f"× {scale:g}", *curve(outcome.runs[_arm(norm, scale)][0], "train", "loss"), place)
            for place, scale in enumerate(SCALES)
            if outcome.runs[_arm(norm, scale)]
        ]
        frames.append(lines.Frame(name, series))
    x, y = lines.Axis("training step"), lines.Axis("training loss", log=True, limits=(0.01, 1000))
    return drawn(
        "loss",
        lines,
        lines.info("Training loss, seed 0, by scale of the weights", x, y, frames),
        "Large weights begin with a large loss, because the output layer has no normalization after it. Do they learn "
        "more slowly? The same step is a smaller share of them.",
    )


STUDY = Study(
    name="scale-invariance",
    title="With batch normalization the scale of the weights does not matter, except for how fast they learn",
    source="Ioffe and Szegedy 2015, section 3.3",
    notes=("002", "003"),
    claims=(
        Claim(
            "BN((aW)u) = BN(Wu), and the gradient with respect to u is the same.",
            "relative differences below 10⁻⁶ in float64 with ε = 10⁻¹², where ε is at most 10⁻⁸ of a variance",
            outputs_stay,
        ),
        Claim(
            "The gradient with respect to aW is 1/a of that with respect to W: larger weights get smaller gradients.",
            "relative differences below 10⁻⁶, as above",
            gradients_shrink,
        ),
        Claim(
            "The same holds with the usual ε of 10⁻⁵ (which the paper's algebra leaves out), from a = 0.01 to 100.",
            "all relative differences below one percent",
            holds_with_the_usual_epsilon,
        ),
        Claim(
            "A network with BN learns whatever the scale of its initial weights, from 0.01 to 100.",
            "every scale's test accuracy is within 5 points (ours: several times the noise of seeds) of the best one's "
            "with its 95 % interval (Student's t, paired by seed); one that is beyond refutes it",
            learns_at_every_scale,
        ),
        Claim(
            "BN makes training more resilient to the scale of the parameters than it is without.",
            "more of the five scales come within 5 points (as above) of the best accuracy of all; equal numbers, or an "
            "accuracy within 1 point of that border, decide nothing",
            is_more_resilient,
        ),
    ),
    plan=plan,
    figures=figures,
    table=accuracy_table,
    see="""Without BN the output grows with a, by arithmetic. With BN it should not change. Look at the left,
    where ε has its effect: where the weights are 100 times smaller, the variance of what they make is 10,000 times
    smaller and comes near ε.""",
    why="""BN divides by the standard deviation of Wu. If W is a times as large, so is that deviation, and a cancels. A
    function that does not change along a line from the origin has, a times farther out, 1/a of the slope: hence the
    small gradient of large weights.

    A step of gradient descent therefore turns large weights less, twice over: the gradient is 1/a, and the same step
    is 1/a of the weights. Their direction, which is all that counts, learns at the rate lr/a². For 100-fold weights
    that is 10,000 times slower; small weights are thrown far by the first steps and then are no longer small.""",
    changes="""A larger learning rate helps large weights. The output layer has no BN after it, so that its scale does
    matter: left at 1, large hidden weights harm less. Adam's steps do not shrink with the gradient. Weight decay makes
    large weights small again.""",
    quick_seconds=15,
    full="10,000 steps, 5 seeds; 6 minutes",
    data="mnist",
    alternatives=("fashion-mnist", "digits"),
)
