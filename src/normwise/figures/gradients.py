"""The norm of each layer's weight gradient over training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from normwise.figures import layout, scales, style
from normwise.figures.series import Band, arm, band, layers, of_layer, spread
from normwise.records import RunRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IN_KEY = 4


class Info(NamedTuple):
    """What is drawn: the layers, input side first, with the mean norm over seeds, and the limits of the y axis."""

    arm: str
    layers: tuple[str, ...]
    norms: tuple[Band, ...]
    limits: tuple[float, float]


def info(runs: Sequence[RunRecord], limits: tuple[float, float] | None = None) -> Info:
    """The gradient norms of every linear map.

    Args:
        runs: the runs of one arm.
        limits: of the y axis, positive; None for those that fit these runs. See ``shared_limits``.
    """
    names = layers(runs, "gradients")
    norms = tuple(band(of_layer(run, "gradients", name, "norm") for run in runs) for name in names)
    return Info(arm(runs[0]), tuple(names), norms, limits or _limits(norms))


def _limits(norms: Sequence[Band]) -> tuple[float, float]:
    """Room for every positive norm, but for at most twelve powers of ten below the greatest."""
    values = [value for norm in norms for value in norm.mean if math.isfinite(value) and value > 0] or [0.1, 1.0]
    return max(min(values), max(values) * 1e-12) / 1.5, max(values) * 1.5


def shared_limits(infos: Sequence[Info]) -> tuple[float, float]:
    """Limits of the y axis for several arms, so that their figures can be compared."""
    return min(info.limits[0] for info in infos), max(info.limits[1] for info in infos)


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
    return said + "."


def _at(norm: Band, place: int) -> str:
    return f"{norm.mean[place]:.2g} at step {norm.steps[place]:,}"


@style.styled
def draw(info: Info) -> Figure:
    """Draw one line per layer, dark on the input side and light on the output side."""
    count = len(info.layers)
    keyed = spread(range(count), IN_KEY)
    entries = [layout.Entry(info.layers[index], {"color": style.ramp(index, count)}) for index in keyed]
    figure, axes = layout.panel(title(info._replace(arm=layout.plain_text(info.arm, 22))), entries)
    scales.steps_axis(axes)
    scales.log_axis(axes, info.limits)
    for index, norm in enumerate(info.norms):
        axes.plot(norm.steps, norm.mean, color=style.ramp(index, count), linewidth=1.6)
    return figure
