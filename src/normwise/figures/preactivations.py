"""The distribution of a nonlinearity's input over training, as in Figure 1 (b, c) of Ioffe & Szegedy (2015)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from normwise.figures import chart as charts
from normwise.figures import layout, limits, scales, style
from normwise.figures.series import Band, Cross, arm, band, crosses, last_step, layer_name, layers, of_layer
from normwise.records import RunRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LAST = "last hidden"


class Info(NamedTuple):
    """What is drawn: the 15th, 50th and 85th percentile, each pooled over seeds, and each seed's median.

    ``limits`` are those of the y axis, and the x axis ends at step ``last``; ``place`` is the arm's place in the study,
    which sets its colour; ``diverged`` says where runs did, by the median.
    """

    arm: str
    layer: str
    p15: Band
    p50: Band
    p85: Band
    medians: tuple[Band, ...]
    limits: limits.Limits
    place: int
    last: int = 0
    diverged: tuple[Cross, ...] = ()


def info(runs: Sequence[RunRecord], layer: str = LAST, reach: limits.Limits | None = None, place: int = 0) -> Info:
    """The percentiles of one layer's pre-activations.

    Args:
        runs: the runs of one arm.
        layer: a layer of the metrics, or ``"last hidden"`` for the one next to the output.
        reach: limits of the y axis; None for those that fit these runs. See ``shared_limits``.
        place: the arm's place in the study.
    """
    names = layers(runs, "preactivations")
    name = layer if layer != LAST else names[-1] if names else "none"
    p15, p50, p85 = (band(of_layer(run, "preactivations", name, key) for run in runs) for key in ("p15", "p50", "p85"))
    single = [of_layer(run, "preactivations", name, "p50") for run in runs]
    made = Info(
        arm(runs[0]), layer_name(name), p15, p50, p85, tuple(band([curve]) for curve in single), (0.0, 1.0), place,
        last_step(runs), crosses(zip(runs, single, strict=True)),
    )  # fmt: skip
    return made._replace(limits=reach or shared_limits([made]))


def shared_limits(infos: Sequence[Info]) -> limits.Limits:
    """Limits of the y axis for several arms, so that their figures can be compared."""
    bands = [part for info in infos for part in (info.p15, info.p85, *info.medians)]
    return limits.middle(value for part in bands for value in part.mean)


def title(info: Info) -> str:
    """The heading: which arm and layer."""
    return f"{info.arm}: input of {info.layer}"


def describe(info: Info) -> str:
    """The figure in words."""
    said = f"Input of the nonlinearity {info.layer} of {info.arm} over training: 15th, 50th and 85th percentile."
    ends = info.p50.ends()
    if ends is None:
        return f"{said} No finite value."
    return f"{said} {_at(info, ends[0])}; {_at(info, ends[1])}."


def _at(info: Info, place: int) -> str:
    values = ", ".join(f"{part.mean[place]:.2f}" for part in (info.p15, info.p50, info.p85))
    return f"At step {info.p50.steps[place]:,}: {values}"


def _short(info: Info) -> Info:
    return info._replace(arm=layout.plain_text(info.arm, 24), layer=layout.plain_text(info.layer, 16))


def chart(info: Info) -> charts.Chart:
    """The figure for a page that draws it itself."""
    seeds = tuple((run.steps, run.mean) for run in info.medians) if len(info.medians) > 1 else ()
    colour = style.colour(info.place)
    line = charts.Line(
        info.place, "median", "", colour, info.p50.steps, info.p50.mean, info.p15.mean, info.p85.mean, seeds
    )
    label = "median, and 15th to 85th percentile"
    marks = tuple(charts.Cross(info.place, cross.step, cross.value) for cross in info.diverged)
    return charts.Chart(label, percent=False, log=False, limits=info.limits, lines=(line,), crosses=marks,
                        spread=True)  # fmt: skip


@style.styled
def draw(info: Info) -> Figure:
    """Draw the band between the outer percentiles, the median, and each seed's median as a thin line."""
    colour = style.colour(info.place)
    entries = [
        layout.Entry("median", {"color": colour, "linewidth": 2.2}),
        layout.Entry("15th–85th percentile", {"color": colour, "alpha": 0.3, "linewidth": 8, "solid_capstyle": "butt"}),
    ]
    figure, axes = layout.panel(title(_short(info)), entries)
    scales.steps_axis(axes, info.last)
    scales.y_axis(axes, info.limits)
    axes.axhline(0, color=style.MUTED, linewidth=0.8)
    axes.fill_between(info.p50.steps, info.p15.mean, info.p85.mean, color=colour, alpha=0.22, linewidth=0)
    for edge in (info.p15, info.p85):
        axes.plot(edge.steps, edge.mean, color=colour, linewidth=0.9)
    for median in info.medians if len(info.medians) > 1 else ():
        axes.plot(median.steps, median.mean, color=colour, linewidth=0.7, alpha=0.6)
    layout.put_beyond(axes, info.p50.steps, info.p50.mean, colour)
    axes.plot(info.p50.steps, info.p50.mean, color=colour, linewidth=2.2)
    layout.put_crosses(axes, info.diverged, info.limits, colour)
    return figure
