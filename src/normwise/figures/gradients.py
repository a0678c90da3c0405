"""The norm of each layer's weight gradient over training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from normwise.figures import chart as charts
from normwise.figures import layout, limits, scales, style
from normwise.figures.series import Band, Cross, arm, band, crosses, last_step, layer_name, layers, of_layer, spread
from normwise.records import RunRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IN_KEY = 4


class Info(NamedTuple):
    """What is drawn: the layers, input side first, with the mean norm over seeds.

    ``limits`` are those of the y axis; a norm below them, zero included, is drawn at its foot. The x axis ends at step
    ``last``. ``place`` is the arm's place in the study, and ``diverged`` says where runs did, by the last layer.
    """

    arm: str
    layers: tuple[str, ...]
    norms: tuple[Band, ...]
    limits: limits.Limits
    place: int = 0
    last: int = 0
    diverged: tuple[Cross, ...] = ()


def info(runs: Sequence[RunRecord], reach: limits.Limits | None = None, place: int = 0) -> Info:
    """The gradient norms of every linear map.

    Args:
        runs: the runs of one arm.
        reach: limits of the y axis, positive; None for those that fit these runs. See ``shared_limits``.
        place: the arm's place in the study.
    """
    names = layers(runs, "gradients")
    norms = tuple(band(of_layer(run, "gradients", name, "norm") for run in runs) for name in names)
    shown = tuple(layer_name(name) for name in names)
    diverged = crosses((run, of_layer(run, "gradients", names[-1], "norm") if names else {}) for run in runs)
    made = Info(arm(runs[0]), shown, norms, (0.1, 1.0), place, last_step(runs), diverged)
    return made._replace(limits=reach or shared_limits([made]))


def shared_limits(infos: Sequence[Info]) -> limits.Limits:
    """Limits of the y axis for several arms, so that their figures can be compared."""
    return limits.positive(value for info in infos for norm in info.norms for value in norm.mean)


def title(info: Info) -> str:
    """The heading: which arm, and what is drawn."""
    return f"{info.arm}: gradient norm by layer"


def describe(info: Info) -> str:
    """The figure in words."""
    said = f"Gradient norm of each of {len(info.layers)} layers of {info.arm} over training, on a logarithmic scale."
    measured = [(name, norm, ends) for name, norm in zip(info.layers, info.norms, strict=True) if (ends := norm.ends())]
    if not measured:
        return f"{said} No finite value."
    shown = [measured[0], measured[-1]] if len(measured) > 1 else measured
    sides = ("Input side", "output side")
    said += " " + "; ".join(
        f"{side} ({name}): {_at(norm, ends[0])}, {_at(norm, ends[1])}"
        for side, (name, norm, ends) in zip(sides, shown, strict=False)
    )
    return f"{said}.{''.join(_vanished(name, norm, info.limits[0]) for name, norm, _ in measured)}"


def _at(norm: Band, place: int) -> str:
    return f"{norm.mean[place]:.2g} at step {norm.steps[place]:,}"


def _vanished(name: str, norm: Band, low: float) -> str:
    """How often a layer had no gradient, or one too small for the axis."""
    zero, small = sum(value == 0 for value in norm.mean), sum(0 < value < low for value in norm.mean)
    said = f" {name} is exactly 0 at {zero} of {len(norm.mean)} evaluations." if zero else ""
    return said + (f" {name} is below {low:.1g} at {small} of {len(norm.mean)} evaluations." if small else "")


def chart(info: Info) -> charts.Chart:
    """The figure for a page that draws it itself."""
    lines = tuple(
        charts.Line(info.place, name, "", style.ramp(index, len(info.layers)), norm.steps, norm.mean)
        for index, (name, norm) in enumerate(zip(info.layers, info.norms, strict=True))
    )
    marks = tuple(charts.Cross(info.place, cross.step, cross.value) for cross in info.diverged)
    return charts.Chart("gradient norm", percent=False, log=True, limits=info.limits, lines=lines, crosses=marks)


@style.styled
def draw(info: Info) -> Figure:
    """Draw one line per layer, dark on the input side and light on the output side; 0 is drawn at the foot, marked."""
    count = len(info.layers)
    keyed = spread(range(count), IN_KEY)
    entries = [layout.Entry(info.layers[index], {"color": style.ramp(index, count)}) for index in keyed]
    figure, axes = layout.panel(title(info._replace(arm=layout.plain_text(info.arm, 22))), entries)
    scales.steps_axis(axes, info.last)
    scales.log_axis(axes, info.limits)
    for index, norm in enumerate(info.norms):
        colour = style.ramp(index, count)
        axes.plot(norm.steps, limits.clamp(norm.mean, info.limits), color=colour, linewidth=1.6)
        layout.put_beyond(axes, norm.steps, norm.mean, colour)
    layout.put_crosses(axes, info.diverged, info.limits, style.colour(info.place))
    return figure
