"""The distribution of a nonlinearity's input over training, as in Figure 1 (b, c) of Ioffe & Szegedy (2015)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from normwise.figures import layout, scales, style
from normwise.figures.series import Band, arm, band, layers, of_layer
from normwise.records import RunRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LAST = "last hidden"


class Info(NamedTuple):
    """What is drawn: the 15th, 50th and 85th percentile, each pooled over seeds, and each seed's median.

    ``limits`` are those of the y axis; ``place`` is the arm's place in the study, which sets its colour.
    """

    arm: str
    layer: str
    p15: Band
    p50: Band
    p85: Band
    medians: tuple[Band, ...]
    limits: tuple[float, float]
    place: int


def info(
    runs: Sequence[RunRecord], layer: str = LAST, limits: tuple[float, float] | None = None, place: int = 0
) -> Info:
    """The percentiles of one layer's pre-activations.

    Args:
        runs: the runs of one arm.
        layer: a layer of the metrics, or ``"last hidden"`` for the one next to the output.
        limits: of the y axis; None for those that fit these runs. See ``shared_limits``.
        place: the arm's place in the study.
    """
    names = layers(runs, "preactivations")
    name = layer if layer != LAST else names[-1] if names else "none"
    p15, p50, p85 = (band(of_layer(run, "preactivations", name, key) for run in runs) for key in ("p15", "p50", "p85"))
    medians = tuple(band([of_layer(run, "preactivations", name, "p50")]) for run in runs)
    return Info(arm(runs[0]), name, p15, p50, p85, medians, limits or _limits((p15, p50, p85)), place)


def _limits(bands: Iterable[Band]) -> tuple[float, float]:
    """Room for 98 of 100 values, and for all where that is at most twice as wide."""
    values = sorted(value for part in bands for value in (*part.low, *part.high) if math.isfinite(value)) or [-1.0, 1.0]
    cut = len(values) // 100
    low, high = values[cut], values[-1 - cut]
    if values[-1] - values[0] <= 2 * (high - low):
        low, high = values[0], values[-1]
    room = 0.06 * (high - low) or 0.5
    return low - room, high + room


def shared_limits(infos: Sequence[Info]) -> tuple[float, float]:
    """Limits of the y axis for several arms, so that their figures can be compared."""
    return min(info.limits[0] for info in infos), max(info.limits[1] for info in infos)


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


@style.styled
def draw(info: Info) -> Figure:
    """Draw the band between the outer percentiles, the median, and each seed's median as a thin line."""
    colour = style.colour(info.place)
    entries = [
        layout.Entry("median", {"color": colour, "linewidth": 2.2}),
        layout.Entry("15th–85th percentile", {"color": colour, "alpha": 0.3, "linewidth": 8, "solid_capstyle": "butt"}),
    ]
    figure, axes = layout.panel(title(_short(info)), entries)
    scales.steps_axis(axes)
    axes.set_ylim(*info.limits)
    axes.axhline(0, color=style.MUTED, linewidth=0.8)
    axes.fill_between(info.p50.steps, info.p15.mean, info.p85.mean, color=colour, alpha=0.22, linewidth=0)
    for edge in (info.p15, info.p85):
        axes.plot(edge.steps, edge.mean, color=colour, linewidth=0.9)
    for median in info.medians if len(info.medians) > 1 else ():
        axes.plot(median.steps, median.mean, color=colour, linewidth=0.7, alpha=0.6)
    axes.plot(info.p50.steps, info.p50.mean, color=colour, linewidth=2.2)
    return figure
