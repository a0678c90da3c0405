"""A quantity of every layer over training as a heat map: layers from the first to the last, recorded steps, colors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from normwise.figures import layout, limits, scales, style
from normwise.figures.series import layer_name, spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Value = float | None

CELLS, MOST, FEWEST = 3000, 60, 12
"""Columns are thinned to so many cells in all, but never to fewer columns than ``FEWEST``."""

DECADES = 14
"""The colors reach down to so many powers of ten below the largest value."""

LETTER, LINE = 0.084, 0.165  # of text, in inches
NAME = 17  # letters of a layer's name
TALLEST = 4.6
BAR = (2.5, 0.11)
STRONGEST = 0.85  # opacity of a share of 1


class Quantity(NamedTuple):
    """What is drawn.

    Attributes:
        title: the heading.
        label: what the colors mean.
        percent: whether values are shares, on a linear scale from 0 to 1; otherwise the scale is logarithmic.
        usual: the range of usual values, marked at the color bar; None for none.
    """

    title: str
    label: str
    percent: bool = False
    usual: limits.Limits | None = None


class Info(NamedTuple):
    """What is drawn.

    Attributes:
        quantity: what the values are.
        layers: in the order of the forward, the first layer first.
        steps: the recorded steps, thinned evenly; the first and the last are among them. Where a training was lost,
            the last is one shortly after the last finite value.
        values: by layer, at each of the steps; None where it was not measured, nan or infinite where not finite.
        limits: of the colors.
    """

    quantity: Quantity
    layers: tuple[str, ...]
    steps: tuple[int, ...]
    values: tuple[tuple[Value, ...], ...]
    limits: limits.Limits

    @property
    def zeros(self) -> bool:
        """Whether a value of exactly 0 is told from a small one."""
        return not self.quantity.percent

    def column(self, place: int) -> dict[str, float]:
        """The finite values of one column, by layer."""
        found = ((layer, row[place]) for layer, row in zip(self.layers, self.values, strict=True))
        return {layer: value for layer, value in found if value is not None and math.isfinite(value)}


class Grid(NamedTuple):
    """The values for a page that tells them: by row and step; None, nan and infinite as in ``Info``."""

    names: tuple[str, ...]
    steps: tuple[int, ...]
    values: tuple[tuple[Value, ...], ...]
    percent: bool


def grid(info: Info) -> Grid:
    """The figure's values for a page that tells them."""
    return Grid(info.layers, info.steps, info.values, info.quantity.percent)


def info(rows: Mapping[str, Mapping[int, Value]], quantity: Quantity) -> Info | None:
    """The values of every layer; None where nothing was measured.

    Args:
        rows: by layer, in the order of the forward, from the step to the value.
        quantity: what the values are.
    """
    rows = {layer: row for layer, row in rows.items() if any(value is not None for value in row.values())}
    if not rows:
        return None
    every = _until_lost(rows)
    steps = spread(every, max(FEWEST, min(MOST, CELLS // len(rows))))
    values = tuple(tuple(row.get(step) for step in steps) for row in rows.values())
    names = tuple(map(layer_name, rows))
    return Info(quantity, names, tuple(steps), values, _limits(values, quantity))


def _until_lost(rows: Mapping[str, Mapping[int, Value]]) -> list[int]:
    """Every step; where from one on no layer has a finite value, a fifth more up to there, and at least two."""
    every = sorted({step for row in rows.values() for step in row})
    there = [place for place, step in enumerate(every) if any(_finite(row.get(step)) for row in rows.values())]
    kept = there[-1] + 1 if there else 0
    return every[: kept + max(2, kept // 5)]


def _finite(value: Value) -> bool:
    return value is not None and math.isfinite(value)


def _limits(values: Sequence[Sequence[Value]], quantity: Quantity) -> limits.Limits:
    """Whole powers of ten, at least two of them, around the values."""
    if quantity.percent:
        return 0.0, 1.0
    there = [value for row in values for value in row if value is not None and math.isfinite(value) and value > 0]
    low, high = limits.positive(there, floor=min(there, default=1.0), spike=1e4)
    last = math.ceil(math.log10(high / 1.3) - 1e-9)
    first = max(math.floor(math.log10(max(low, 1e-300) * 1.3) + 1e-9), last - DECADES)
    last += first == last
    return 10.0 ** min(first, last - 2), 10.0**last


def title(info: Info) -> str:
    """The heading: what is drawn."""
    return info.quantity.title


def describe(info: Info) -> str:
    """The figure in words."""
    count, steps = len(info.layers), info.steps
    layers = "1 layer" if count == 1 else f"{count} layers, from the first at the top to the last"
    said = [f"{title(info)} ({info.quantity.label}) at {_counted(len(steps), 'recorded step')}: {layers}."]
    said += [_describe(info, place) for place in sorted({0, len(steps) - 1})]
    return " ".join([*said, *_below(info), *_zeros(info), *_not_finite(info)])


def _below(info: Info) -> list[str]:
    count = sum(value is not None and 0 < value < info.limits[0] for row in info.values for value in row)
    return [f"{_counted(count, 'value')} below {scales.power_of_ten(info.limits[0])}."] if count and info.zeros else []


def _describe(info: Info, place: int) -> str:
    found, said = info.column(place), f"At step {info.steps[place]:,}"
    if not found:
        return f"{said}: no finite value."
    write = _percent if info.quantity.percent else _plain
    least, most = min(found, key=found.__getitem__), max(found, key=found.__getitem__)
    if found[least] == found[most]:
        return f"{said}: {write(found[least])} in all that have a value."
    said += f": least in {least}, {write(found[least])}; most in {most}, {write(found[most])}"
    first, last = next(iter(found.values())), next(reversed(found.values()))
    ratio = "" if info.quantity.percent or not last else f"; the first layer has {_plain(first / last)} of the last"
    return f"{said}{ratio}."


def _plain(value: float) -> str:
    return scales.plain(float(f"{value:.2g}"))


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _zeros(info: Info) -> list[str]:
    never = [name for name, row in zip(info.layers, info.values, strict=True) if not any(row)] if info.zeros else []
    some = [name for name, row in zip(info.layers, info.values, strict=True) if 0 in row] if info.zeros else []
    said = [f"Exactly 0 at every step in {_listed(never)}."] if never else []
    others = [name for name in some if name not in never]
    return said + ([f"Exactly 0 at some steps in {_listed(others)}."] if others else [])


def _not_finite(info: Info) -> list[str]:
    first = {
        name: step
        for name, row in zip(info.layers, info.values, strict=True)
        for step, value in zip(reversed(info.steps), reversed(row), strict=True)
        if value is not None and not math.isfinite(value)
    }
    return [f"Not finite in {_listed(list(first))}, first at step {min(first.values()):,}."] if first else []


def _listed(names: Sequence[str], most: int = 6) -> str:
    rest = f" and {len(names) - most} more layers" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


@style.styled
def draw(info: Info) -> Figure:
    """Draw a row per layer, the first at the top, and a column per step; the color bar and the key stand above."""
    from normwise.figures.notebook import NotebookFigure

    rows = len(info.layers)
    names = [layout.plain_text(name, NAME + 2) for name in _short(info.layers)]
    left = layout.MARGIN + 0.08 + LETTER * max(layout.ems(name) / 0.64 for name in names)
    tall = min(max(0.5, 0.3 * rows), 2.4) if rows <= 14 else min(max(2.4, LINE * rows), TALLEST)
    top = layout.HEADING + layout.LABEL_ROW + 0.54
    width, height = layout.WIDTH, top + tall + layout.BOTTOM
    figure = NotebookFigure(figsize=(width, height))
    layout.write_heading(figure, title(info))
    _bar(figure, info)
    _key(figure, info)
    box = (left / width, layout.BOTTOM / height, (width - left - 0.25) / width, tall / height)
    axes = figure.add_axes(box)
    axes.set(xlim=(0, len(info.steps)), ylim=(rows, 0), xlabel="training step")
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(True)
    axes.imshow(_pixels(info), extent=(0, len(info.steps), rows, 0), interpolation="none", aspect="auto", zorder=1)
    _marks(axes, info)
    shown = _named_rows(rows, max(2, int(tall / LINE)))
    axes.set_yticks([place + 0.5 for place in shown], [names[place] for place in shown], parse_math=False)
    _step_ticks(axes, info.steps, width - left)
    return figure


def _short(names: Sequence[str]) -> list[str]:
    """The names without the modules that all of them are in, where they are long."""
    parts = [name.split(".") for name in names]
    shared = next((at for at, same in enumerate(zip(*parts, strict=False)) if len(set(same)) > 1), 0)
    if not shared or max(map(len, names)) <= NAME:
        return list(names)
    return [f"…{'.'.join(part[shared:])}" for part in parts]


def _named_rows(rows: int, most: int) -> list[int]:
    """At most so many of the rows, evenly spaced, the first among them, and the last where it has room."""
    each = -(-rows // most)
    named = list(range(0, rows, each))
    return named if rows - 1 - named[-1] < each or named[-1] == rows - 1 else [*named, rows - 1]


def _step_ticks(axes: Axes, steps: Sequence[int], wide: float) -> None:
    most = max(2, int(wide / (LETTER * len(f"{steps[-1]:,}") + 0.35)))
    shown = spread(range(len(steps)), min(most, 7))
    axes.set_xticks([place + 0.5 for place in shown], [f"{steps[place]:,}" for place in shown])


def _pixels(info: Info) -> Any:
    """Red, green, blue and opacity of each cell; what has no color is transparent."""
    values = np.array([[math.nan if value is None else value for value in row] for row in info.values], dtype=float)
    colored = np.isfinite(values) & ((values > 0) | info.quantity.percent)
    return _colors(np.where(colored, values, info.limits[1]), info, colored)


def _colors(values: Any, info: Info, colored: Any) -> Any:
    from matplotlib import colormaps

    low, high = info.limits
    if info.quantity.percent:
        return np.stack([*_solid(values), np.where(colored, STRONGEST * np.clip(values, 0, 1), 0)], axis=-1)
    scaled = (np.log10(np.clip(values, low, high)) - math.log10(low)) / math.log10(high / low)
    pixels = colormaps["viridis"](scaled)
    pixels[..., 3] = colored
    return pixels


def _solid(values: Any) -> list[Any]:
    channels = [int(style.colour(0)[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return [np.full(values.shape, channel) for channel in channels]


LOOKS: dict[str, dict[str, Any]] = {
    "exactly 0": {"facecolor": style.INK, "linewidth": 0},
    "not finite": {"facecolor": "none", "edgecolor": style.colour(0), "hatch": "xxxxx", "linewidth": 0},
    "not measured": {"facecolor": style.GRID, "linewidth": 0},
}
"""How cells that have no color look, by what they are."""


def _kind(value: Value, info: Info) -> str:
    """What a cell without a color is; empty for one with a color."""
    if value is None:
        return "not measured"
    if not math.isfinite(value):
        return "not finite"
    return "exactly 0" if value == 0 and info.zeros else ""


def blocks(info: Info) -> Iterator[tuple[str, int, int, int, int]]:
    """Rectangles of cells without a color: what they are, row, column, rows and columns."""
    runs: list[list[tuple[str, int, int]]] = []
    for row in info.values:
        kinds = groupby(range(len(row)), lambda place, row=row: _kind(row[place], info))  # type: ignore[misc]
        runs.append([(kind, (there := list(places))[0], len(there)) for kind, places in kinds])
    start = 0
    for _, same in groupby(runs):
        count = len(list(same))
        yield from ((kind, start, column, count, wide) for kind, column, wide in runs[start] if kind)
        start += count


def _marks(axes: Axes, info: Info) -> None:
    from matplotlib.patches import Rectangle

    for kind, row, column, rows, columns in blocks(info):
        axes.add_patch(Rectangle((column, row), columns, rows, **LOOKS[kind], zorder=2))


def _bar(figure: Figure, info: Info) -> None:
    """What the colors mean, above the axes at the left."""
    width, height = figure.get_size_inches()
    top = height - layout.HEADING - 0.03
    look: dict[str, Any] = {"va": "top", "color": style.MUTED, "parse_math": False}
    figure.text(layout.MARGIN / width, top / height, info.quantity.label, **look)
    wide, tall = BAR
    box = ((layout.MARGIN + 0.3) / width, (top - layout.LABEL_ROW - 0.08 - tall) / height, wide / width, tall / height)
    axes = figure.add_axes(box)
    low, high = info.limits
    ends = (low, high) if info.quantity.percent else (math.log10(low), math.log10(high))
    ramp = np.linspace(*ends, 128)[None]
    values = ramp if info.quantity.percent else 10.0**ramp
    pixels = _colors(values, info, np.ones(values.shape, dtype=bool))
    axes.imshow(pixels, extent=(*ends, 0, 1), interpolation="none", aspect="auto")
    axes.grid(visible=False)
    axes.set_yticks([])
    axes.set_xticks(*_bar_ticks(info, ends))
    for spine in axes.spines.values():
        spine.set_visible(True)
    if info.quantity.usual:
        axes.plot([*np.clip(np.log10(info.quantity.usual), *ends)], [1.35, 1.35], color=style.INK, clip_on=False)
        axes.set(xlim=ends, ylim=(0, 1))


def _bar_ticks(info: Info, ends: tuple[float, float]) -> tuple[list[float], list[str]]:
    if info.quantity.percent:
        return [0, 0.5, 1], ["0", "50 %", "100 %"]
    first, last = round(ends[0]), round(ends[1])
    each = -(-(last - first) // 4)
    powers = list(range(first, last + 1, each))
    smaller = "≤ " if _below(info) else ""
    return [*map(float, powers)], [
        (smaller if power == first else "") + scales.power_of_ten(10.0**power) for power in powers
    ]


def _key(figure: Figure, info: Info) -> None:
    """What cells without a color mean, above the axes at the right; only those that occur."""
    from matplotlib.patches import Rectangle

    width, height = figure.get_size_inches()
    there = {_kind(value, info) for row in info.values for value in row}
    top = height - layout.HEADING - 0.03
    for place, kind in enumerate(kind for kind in LOOKS if kind in there):
        y = top - 0.2 * place
        at = ((width - 1.4) / width, (y - 0.13) / height)
        patch = Rectangle(at, 0.2 / width, 0.12 / height, transform=figure.transFigure, **LOOKS[kind])
        figure.add_artist(patch)
        figure.text((width - 1.12) / width, y / height, kind, va="top")
