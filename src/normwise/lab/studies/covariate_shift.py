"""Notes 000, 001 and 003: does batch normalization reduce internal covariate shift, and does that make it work?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Any

from normwise.figures import lines
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.drawing import drawn, spread
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Measurement, Study, judged
from normwise.lab.studies.shared.covariate_shift import ARMS, EVERY, NETWORKS, mean_of, trained
from normwise.report import Table

MARGIN = 0.2
"""Shifts within this share of each other count as similar; ours."""

CLOSE = 0.02
"""Accuracies within this much count as about the same: on MNIST seeds differ by about half a point; ours."""


def plan(asked: Asked) -> list[Measurement]:
    """Both networks with and without BN, and the deep one with noise."""
    steps = asked.scale.pick(smoke=EVERY, quick=600, full=10_000)
    seeds = asked.seeds or asked.scale.pick(smoke=1, quick=3, full=5)
    return [
        Measurement(f"{network}, {arm}", trained, {"network": network, "arm": arm, "steps": steps}, seed, asked.data)
        for network in NETWORKS
        for arm in (ARMS if network == "ReLU × 10" else ("plain", "BN"))
        for seed in range(seeds)
    ]


def _runs(outcome: Outcome, network: str, arm: str) -> Sequence[Mapping[str, Any]]:
    return outcome.measured[f"{network}, {arm}"]


def _means(outcome: Outcome, network: str, arm: str, what: str) -> list[float]:
    return [mean_of(run, what) for run in _runs(outcome, network, arm)]


def _ratios(outcome: Outcome, network: str, what: str) -> list[float]:
    pairs = zip(*(_means(outcome, network, arm, what) for arm in ("BN", "plain")), strict=True)
    return [bn / plain if plain else float("inf") for bn, plain in pairs]


def _reduces(network: str, outcome: Outcome) -> Judged:
    """Whether distributions move less with BN."""
    ratios = _ratios(outcome, network, "distances")
    bn, plain = (fmean(_means(outcome, network, arm, "distances")) for arm in ("BN", "plain"))
    less, more = max(ratios) < 1 - MARGIN, min(ratios) > 1 - MARGIN
    return judged(
        None if not less and not more else less,
        f"Within {EVERY} steps what an activation receives moves by {bn:.3f} standard deviations with BN and by "
        f"{plain:.3f} without; the ratio by seed is {', '.join(f'{ratio:.2f}' for ratio in ratios)}.",
        ratios=ratios, bn=bn, plain=plain,
    )  # fmt: skip


reduces_in_the_papers_network = partial(_reduces, "sigmoid × 3")
reduces_in_a_deep_network = partial(_reduces, "ReLU × 10")


def gradients_shift_as_much(outcome: Outcome) -> Judged:
    """Whether the gradient form of the shift is no smaller with BN."""
    ratios = _ratios(outcome, "ReLU × 10", "differences")
    bn, plain = (_means(outcome, "ReLU × 10", arm, "cosines") for arm in ("BN", "plain"))
    shifted = [ratio > 1 - MARGIN and a < b + 0.05 for ratio, a, b in zip(ratios, bn, plain, strict=True)]
    return judged(
        all(shifted) if all(shifted) or not any(shifted) else None,
        f"‖G − G'‖ with BN is {', '.join(f'{ratio:.2f}' for ratio in ratios)} times that without, by seed; the cosine "
        f"between both gradients is {fmean(bn):.3f} with BN and {fmean(plain):.3f} without.",
        ratios=ratios, cosine_bn=bn, cosine_plain=plain,
    )  # fmt: skip


def _last(outcome: Outcome, arm: str) -> list[float]:
    return [run["accuracy"][-1] for run in _runs(outcome, "ReLU × 10", arm)]


def _speed(outcome: Outcome, arm: str) -> list[float]:
    return [fmean(run["accuracy"]) for run in _runs(outcome, "ReLU × 10", arm)]


def noisy_is_as_good(outcome: Outcome) -> Judged:
    """Whether BN with noise ends about as well as BN."""
    noisy, bn = (fmean(_last(outcome, arm)) for arm in ("noisy BN", "BN"))
    return judged(
        noisy > bn - CLOSE,
        f"Test accuracy at the end: {100 * noisy:.1f} % with noisy BN, {100 * bn:.1f} % with BN.",
        noisy=noisy, bn=bn,
    )  # fmt: skip


def noisy_beats_plain(outcome: Outcome) -> Judged:
    """Whether BN with noise learns sooner than the plain network although more shifts in it."""
    noisy, plain = _speed(outcome, "noisy BN"), _speed(outcome, "plain")
    shifts = [fmean(_means(outcome, "ReLU × 10", arm, "jumps")) for arm in ("noisy BN", "plain")]
    better = [a > b for a, b in zip(noisy, plain, strict=True)]
    return judged(
        all(better) and shifts[0] > shifts[1] if all(better) or not any(better) else None,
        f"Mean test accuracy over all of training: {100 * fmean(noisy):.1f} % with noisy BN, "
        f"{100 * fmean(plain):.1f} % without BN; in one step what activations receive moves by {shifts[0]:.2f} and "
        f"{shifts[1]:.2f} standard deviations.",
        noisy=noisy, plain=plain, shifts=shifts,
    )  # fmt: skip


def noise_harms_plain(outcome: Outcome) -> Judged:
    """Whether the same noise costs the plain network more than it costs BN."""
    last = {arm: fmean(_last(outcome, arm)) for arm in ARMS}
    plain, bn = last["plain"] - last["noisy plain"], last["BN"] - last["noisy BN"]
    return judged(
        None if abs(plain - bn) < CLOSE / 2 else plain > bn,
        f"The noise costs {100 * plain:.1f} points of test accuracy without BN, and {100 * bn:.1f} with it.",
        **{name.replace(" ", "_"): value for name, value in last.items()},
    )


MEASURES = ("distances", "jumps", "differences", "cosines")
PLACES = {"plain": (0, "solid"), "BN": (1, "solid"), "noisy plain": (0, "dotted"), "noisy BN": (1, "dotted")}


def figures(outcome: Outcome) -> list[Panel]:
    """The shift by layer in both forms, and accuracy over the steps."""
    return [_by_layer(outcome), _gradients(outcome), _accuracies(outcome)]


def _line(outcome: Outcome, network: str, arm: str, what: str, first: int) -> lines.Line:
    """By layer, the mean over steps and seeds, in a band of the seeds."""
    place, look = PLACES[arm]
    runs = [[fmean(column) for column in zip(*run[what], strict=True)] for run in _runs(outcome, network, arm)]
    low, high, middle = ([one(column) for column in zip(*runs, strict=True)] for one in (min, max, fmean))
    return lines.Line(arm, range(first, first + len(runs[0])), middle, place, look, low, high)  # type: ignore[arg-type]


def _by_layer(outcome: Outcome) -> Panel:
    two, three = ("plain", "BN"), ("plain", "BN", "noisy BN")
    shown = (("sigmoid × 3", two, "20 steps"), ("ReLU × 10", three, "20 steps"), ("ReLU × 10", three, "one step"))
    frames = []
    for network, arms, steps in shown:
        what = "jumps" if steps == "one step" else "distances"
        series = [_line(outcome, network, arm, what, 1) for arm in arms]
        frames.append(lines.Frame(f"{network}, in {steps}", series))
    x, y = lines.Axis("layer", limits=(0, 12)), lines.Axis("distance moved, standard deviations of a unit", log=True)
    return drawn("distance-by-layer", lines, lines.info("How far the inputs of activations move", x, y, frames, 3))


def _gradients(outcome: Outcome) -> Panel:
    series = [_line(outcome, "ReLU × 10", arm, "differences", 2) for arm in ("plain", "BN", "noisy BN")]
    y = lines.Axis("‖G − G'‖, mean over training", log=True)
    info = lines.info("How updates below change a layer's gradient", lines.Axis("layer", limits=(0, 12)), y, series)
    caption = "Ten ReLU layers and the output; one update of all layers below. Bands are the range over the seeds."
    return drawn("gradient-by-layer", lines, info, caption)


def _accuracies(outcome: Outcome) -> Panel:
    series = []
    for arm, (place, look) in PLACES.items():
        runs = _runs(outcome, "ReLU × 10", arm)
        values = [fmean(column) for column in zip(*(run["accuracy"] for run in runs), strict=True)]
        series.append(lines.Line(arm, runs[0]["steps"], values, place, look))  # type: ignore[arg-type]
    y = lines.Axis("test accuracy", percent=True, limits=(0, 1))
    info = lines.info("Ten ReLU layers with and without noise", lines.Axis("training step"), y, series)
    return drawn("accuracy", lines, info, "Noise with another mean and deviation in every step, after BN.")


def table(outcome: Outcome) -> Table:
    """Shifts in both forms and accuracy by network and arm."""
    rows = []
    for name, runs in outcome.measured.items():
        network, arm = name.split(", ")
        cells = [spread([mean_of(run, what) for run in runs], 3) for what in MEASURES]
        rows.append([network, arm, *cells, spread([run["accuracy"][-1] for run in runs], percent=True)])
    return Table(
        "Mean ± standard deviation over the seeds, of means over layers and steps: distance moved by what an "
        "activation "
        f"receives, in {EVERY} steps and in one, in standard deviations; change of a layer's gradient by one update of "
        "those below it, and the cosine; test accuracy at the end.",
        ["network", "arm", f"{EVERY} steps", "one step", "‖G − G'‖", "cosine", "test"],
        rows,
    )


STUDY = Study(
    name="covariate-shift",
    title="Does batch normalization reduce internal covariate shift, and is that why it works?",
    source="Ioffe and Szegedy 2015, sections 1 and 2; Santurkar et al. 2018, sections 2.1 and 2.2",
    notes=("000", "001", "003"),
    claims=(
        Claim(
            "BN reduces internal covariate shift: the distributions of what activations receive move less (three "
            "sigmoid layers, as in section 4.1).",
            "in every seed the distance moved is below 80 % of that without BN, mean over layers and steps; above 80 % "
            "in every seed it does not hold",
            reduces_in_the_papers_network,
        ),
        Claim("The same in a deep network (ten ReLU layers, He's weights).", "as above", reduces_in_a_deep_network),
        Claim(
            "Santurkar et al.: measured by how updates of the layers below change a layer's gradient, the shift with "
            "BN is similar or larger.",
            "in every seed ‖G − G'‖ is above 80 % of that without BN and the cosine is at most 0.05 larger; a mixed "
            "result decides nothing",
            gradients_shift_as_much,
        ),
        Claim(
            "Santurkar et al.: BN with noise after it, which puts shift back in, trains about as well as BN.",
            "mean test accuracy at the end at most 2 points lower, four times what seeds differ by",
            noisy_is_as_good,
        ),
        Claim(
            "Santurkar et al.: noisy BN trains better than the plain network, although distributions move more in it.",
            "in every seed a larger mean of test accuracy over training, and a larger distance moved in one step, "
            "since "
            "the noise is drawn anew in each; a mixed result decides nothing",
            noisy_beats_plain,
        ),
        Claim(
            "The same noise harms the plain network more than the one with BN.",
            "more points of test accuracy lost; differences below 1 point decide nothing",
            noise_harms_plain,
        ),
    ),
    plan=plan,
    figures=figures,
    table=table,
    see="""How far the distribution of what an activation receives moves, by layer. Compare red with blue: if BN reduces
    covariate shift, blue lies lower. The dotted line is BN with noise whose mean and deviation are drawn anew in each
    step, so that it moves in one step about as far as in twenty.""",
    why="""BN fixes the mean and the deviation of what an activation receives to β and γ, which change slowly. Without
    it nothing does: small changes of early layers add up in later ones. What BN does not fix is how a layer's gradient
    changes when the layers below are updated, which is what a layer's learning depends on.

    Noisy BN separates two explanations. If a stable distribution were what makes BN work, noise that moves it with
    every step should undo the benefit. Santurkar et al. conclude that BN works because it makes the loss smoother.

    The distance is the 1-Wasserstein distance of each unit's values on the same 500 examples, in units of its standard
    deviation, in training mode: with the statistics of those examples.""",
    changes="""A smaller learning rate moves everything less, and the plain network's gradients most: 0.1 is near the
    largest that it bears. Santurkar et al. measured deep convolutional and linear networks, at other rates. Weights
    with which the plain network hardly learns make it look stable, because nothing moves.""",
    quick_seconds=75,
    full="10,000 steps, 5 seeds; 40 minutes",
    data="mnist",
    alternatives=("fashion-mnist", "digits"),
)
