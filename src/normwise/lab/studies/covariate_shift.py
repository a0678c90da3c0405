"""Notes 000, 001 and 003: does batch normalization reduce internal covariate shift, and does that make it work?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import log, nan
from operator import itemgetter
from statistics import fmean

from normwise.figures import lines
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.drawing import drawn, spread
from normwise.lab.reproduction.judging import PAIRED, Difference, every, less
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Measurement, Study, judged
from normwise.lab.studies.shared.covariate_shift import ARMS, EVERY, NETWORKS, mean_of, number, trained
from normwise.report import Table

DEEP = "ReLU × 10"

MARGIN = 0.2
"""Shifts within this share of each other count as similar; ours."""

CLOSE = 0.02
"""Accuracies within this much count as about the same: on MNIST seeds differ by about half a point; ours."""


def plan(asked: Asked) -> list[Measurement]:
    """Both networks with and without BN, and the deep one with noise."""
    steps = asked.scale.pick(smoke=EVERY, quick=600, full=10_000)
    seeds = asked.seeds or asked.scale.pick(smoke=1, quick=4, full=5)
    return [
        Measurement(f"{network}, {arm}", trained, {"network": network, "arm": arm, "steps": steps}, seed, asked.data)
        for network in NETWORKS
        for arm in (ARMS if network == DEEP else ("plain", "BN"))
        for seed in range(seeds)
    ]


def _means(outcome: Outcome, network: str, arm: str, what: str) -> list[float]:
    return [mean_of(run, what) for run in outcome.measured[f"{network}, {arm}"]]


def _relative(outcome: Outcome, network: str, what: str) -> tuple[Difference, list[float]]:
    """The logarithm of BN's over plain's, with its interval over the seeds; and the ratios by seed."""
    bn, plain = ([value or nan for value in _means(outcome, network, arm, what)] for arm in ("BN", "plain"))
    return less([log(value) for value in bn], [log(value) for value in plain]), [
        a / b for a, b in zip(bn, plain, strict=True)
    ]


def reduces(network: str, outcome: Outcome) -> Judged:
    """Whether distributions move less with BN."""
    found, ratios = _relative(outcome, network, "distances")
    bn, plain = (fmean(_means(outcome, network, arm, "distances")) for arm in ("BN", "plain"))
    more = found.above(log(1 - MARGIN))
    return judged(
        None if more is None else not more,
        f"Within {EVERY} steps what an activation receives moves by {bn:.3f} standard deviations with BN and by "
        f"{plain:.3f} without; the ratio by seed is {', '.join(f'{ratio:.2f}' for ratio in ratios)}.",
        ratios=ratios, bn=bn, plain=plain,
    )  # fmt: skip


def gradients_shift_as_much(outcome: Outcome) -> Judged:
    """Whether the gradient form of the shift is no smaller with BN."""
    found, ratios = _relative(outcome, DEEP, "differences")
    bn, plain = (_means(outcome, DEEP, arm, "cosines") for arm in ("BN", "plain"))
    straighter = less(bn, plain).above(0.05)
    return judged(
        every((found.above(log(1 - MARGIN)), None if straighter is None else not straighter)),
        f"‖G − G'‖ with BN is {', '.join(f'{ratio:.2f}' for ratio in ratios)} times that without, by seed; the cosine "
        f"between both gradients is {fmean(bn):.3f} with BN and {fmean(plain):.3f} without.",
        ratios=ratios, cosine_bn=bn, cosine_plain=plain,
    )  # fmt: skip


def _accuracy(outcome: Outcome, arm: str, how: Callable[[Sequence[float]], float]) -> list[float]:
    """Of each seed, one number of its test accuracy over the steps."""
    return [how(run["accuracy"]) for run in outcome.measured[f"{DEEP}, {arm}"]]


def noisy_is_as_good(outcome: Outcome) -> Judged:
    """Whether BN with noise ends about as well as BN."""
    noisy, bn = (_accuracy(outcome, arm, itemgetter(-1)) for arm in ("noisy BN", "BN"))
    found = less(noisy, bn)
    return judged(
        found.above(-CLOSE),
        f"Test accuracy ends at {100 * fmean(noisy):.1f} % with noisy BN and {100 * fmean(bn):.1f} % with BN: {found}.",
        noisy=noisy, bn=bn, interval=found.interval,
    )  # fmt: skip


def noisy_beats_plain(outcome: Outcome) -> Judged:
    """Whether BN with noise learns sooner than the plain network although more shifts in it."""
    noisy, plain = (_accuracy(outcome, arm, fmean) for arm in ("noisy BN", "plain"))
    shifts = [_means(outcome, DEEP, arm, "jumps") for arm in ("noisy BN", "plain")]
    ahead = less(noisy, plain)
    return judged(
        every((ahead.positive, less(*shifts).positive)),
        f"Mean test accuracy over all of training: {100 * fmean(noisy):.1f} % with noisy BN, "
        f"{100 * fmean(plain):.1f} % without BN: {ahead}; in one step what activations receive moves by "
        f"{fmean(shifts[0]):.2f} and {fmean(shifts[1]):.2f} standard deviations.",
        noisy=noisy, plain=plain, shifts=shifts, interval=ahead.interval,
    )  # fmt: skip


def noise_harms_plain(outcome: Outcome) -> Judged:
    """Whether the same noise costs the plain network more than it costs BN."""
    last = {arm: _accuracy(outcome, arm, itemgetter(-1)) for arm in ARMS}
    plain, bn = ([a - b for a, b in zip(last[arm], last[f"noisy {arm}"], strict=True)] for arm in ("plain", "BN"))
    found = less(plain, bn)
    return judged(
        found.positive if abs(found.mean) > CLOSE / 2 else None,
        f"The noise costs {100 * fmean(plain):.1f} points of test accuracy without BN, and {100 * fmean(bn):.1f} with "
        f"it; the difference is {found}.",
        **{name.replace(" ", "_"): values for name, values in last.items()}, interval=found.interval,
    )  # fmt: skip


MEASURES = ("distances", "jumps", "differences", "cosines")
PLACES = {"plain": (0, "solid"), "BN": (1, "solid"), "noisy plain": (0, "dotted"), "noisy BN": (1, "dotted")}


def _line(outcome: Outcome, network: str, arm: str, what: str, first: int) -> lines.Line:
    """By layer, the mean over steps and seeds, in a band of the seeds."""
    place, look = PLACES[arm]
    measured = outcome.measured[f"{network}, {arm}"]
    runs = [[fmean(map(number, column)) for column in zip(*run[what], strict=True)] for run in measured]
    low, high, middle = ([one(column) for column in zip(*runs, strict=True)] for one in (min, max, fmean))
    return lines.Line(arm, range(first, first + len(runs[0])), middle, place, look, low, high)  # type: ignore[arg-type]


def _by_layer(outcome: Outcome) -> Panel:
    arms = ("plain", "BN", "noisy BN")
    shown = (("sigmoid × 3", "distances", 2), (DEEP, "distances", 3), (DEEP, "jumps", 3))
    frames = [
        lines.Frame(
            f"{network}, in {'20 steps' if what == 'distances' else 'one step'}",
            [_line(outcome, network, arm, what, 1) for arm in arms[:count]],
        )
        for network, what, count in shown
    ]
    x, y = lines.Axis("layer", limits=(0, 12)), lines.Axis("distance moved, standard deviations", log=True)
    return drawn("distance-by-layer", lines, lines.info("How far the inputs of activations move", x, y, frames, 3))


def _gradients(outcome: Outcome) -> Panel:
    series = [_line(outcome, DEEP, arm, "differences", 2) for arm in ("plain", "BN", "noisy BN")]
    x, y = lines.Axis("layer", limits=(0, 12)), lines.Axis("‖G − G'‖, mean over training", log=True)
    info = lines.info("How updates below change a layer's gradient", x, y, series)
    return drawn("gradient-by-layer", lines, info, "One update of all layers below. Bands: the range over the seeds.")


def _accuracies(outcome: Outcome) -> Panel:
    series = []
    for arm, (place, look) in PLACES.items():
        runs = outcome.measured[f"{DEEP}, {arm}"]
        values = [fmean(column) for column in zip(*(run["accuracy"] for run in runs), strict=True)]
        series.append(lines.Line(arm, runs[0]["steps"], values, place, look))  # type: ignore[arg-type]
    y = lines.Axis("test accuracy", percent=True, limits=(0, 1))
    info = lines.info("Ten ReLU layers with and without noise", lines.Axis("training step"), y, series)
    return drawn("accuracy", lines, info, "Noise with another mean and deviation in every step, after BN.")


def figures(outcome: Outcome) -> list[Panel]:
    """The shift by layer in both forms, and accuracy over the steps."""
    return [_by_layer(outcome), _gradients(outcome), _accuracies(outcome)]


def table(outcome: Outcome) -> Table:
    """Shifts in both forms and accuracy by network and arm."""
    rows = []
    for name, runs in outcome.measured.items():
        network, arm = name.split(", ")
        cells = [spread([mean_of(run, what) for run in runs], 3) for what in MEASURES]
        rows.append([network, arm, *cells, spread([run["accuracy"][-1] for run in runs], percent=True)])
    return Table(
        "Mean ± standard deviation over the seeds, of means over layers and steps: distances in standard deviations; "
        "change of a layer's gradient by one update of those below it, and the cosine; test accuracy at the end.",
        ["network", "arm", f"{EVERY} steps", "one step", "‖G − G'‖", "cosine", "test"],
        rows,
        text_columns=2,
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
            "the 95 % interval (Student's t over the seeds, of the logarithm) of the ratio of the mean distances moved "
            "with BN and without lies below 0.8 (ours); above 0.8 it does not hold",
            partial(reduces, "sigmoid × 3"),
        ),
        Claim("The same in a deep network (ten ReLU layers, He's weights).", "as above", partial(reduces, DEEP)),
        Claim(
            "Santurkar et al.: measured by how updates of the layers below change a layer's gradient, the shift with "
            "BN is similar or larger.",
            "the 95 % interval of the ratio of ‖G − G'‖ lies above 0.8, as above, and that of the difference of the "
            "cosines below 0.05 (both ours); an interval beyond either border refutes it",
            gradients_shift_as_much,
        ),
        Claim(
            "Santurkar et al.: BN with noise after it, which puts shift back in, trains about as well as BN.",
            "the 95 % interval of the difference in test accuracy at the end, paired by seed, lies above −2 points, "
            "four times what seeds differ by; below, it does not hold",
            noisy_is_as_good,
        ),
        Claim(
            "Santurkar et al.: noisy BN trains better than the plain network, although distributions move more in it.",
            f"a larger mean of test accuracy over training, and a larger distance moved in one step: of both {PAIRED}",
            noisy_beats_plain,
        ),
        Claim(
            "The same noise harms the plain network more than the one with BN.",
            f"more points of test accuracy lost: {PAIRED}; differences below 1 point decide nothing",
            noise_harms_plain,
        ),
    ),
    plan=plan,
    figures=figures,
    table=table,
    see="""How far the distribution of what an activation receives moves, by layer. Compare orange with blue: if BN
    reduces covariate shift, blue lies lower. The dotted line is BN with noise whose mean and deviation are drawn anew
    in each step, so that it moves in one step about as far as in twenty.""",
    why="""BN fixes the mean and the deviation of what an activation receives to β and γ, which change slowly. Without
    it nothing does: small changes of early layers add up in later ones. What BN does not fix is how a layer's gradient
    changes when the layers below are updated, which is what a layer's learning depends on.

    Noisy BN separates two explanations. If a stable distribution were what makes BN work, noise that moves it with
    every step should undo the benefit. Santurkar et al. conclude that BN works because it makes the loss smoother,
    which is not tested here.

    The distance is the 1-Wasserstein distance of each unit's values on the same 500 examples, in units of its standard
    deviation, in training mode: with the statistics of those examples.""",
    changes="""A smaller learning rate moves everything less, and the plain network's gradients most: 0.1 is near the
    largest that it bears. Santurkar et al. measured deep convolutional and linear networks, at other rates. Weights
    with which the plain network hardly learns make it look stable, because nothing moves.""",
    quick_seconds=60,
    full="10,000 steps, 5 seeds; 40 minutes",
    data="mnist",
    alternatives=("fashion-mnist", "digits"),
)
