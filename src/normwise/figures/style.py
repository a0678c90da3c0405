"""How the figures look: colours, the panel with its key, and the way to SVG and PNG.

A colour is written as it is on white; ``DARK`` has its counterpart on a dark page. In an inline SVG each such colour
becomes ``var(--nw-0072b2, #0072b2)``, so a page that sets the variables of ``dark_variables`` follows its reader's
preference, and one that does not still shows the figure.
"""

from __future__ import annotations

import functools
import math
import unicodedata
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend
    from matplotlib.lines import Line2D

P = ParamSpec("P")
R = TypeVar("R")

PAPER, DARK_PAPER = "#fdfdfc", "#15181d"
INK, MUTED, GRID = "#22262e", "#5b6270", "#e4e6ea"

ARMS = {
    "#d55e00": "#ff8f4a",  # vermilion
    "#0072b2": "#56aef2",  # blue
    "#009e73": "#35c99c",  # green
    "#b4578f": "#e59cca",  # purple
    "#a67c00": "#e2bb45",  # ochre
    "#3d96d0": "#a5dcff",  # sky
    "#6a7180": "#bcc2cc",  # grey
}
"""After Okabe & Ito (2008), the pale ones darkened until they stand out on white; each with its colour on dark."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")

RAMP_STEPS = 16
_RAMP = ("#2b1a6e", "#24609c", "#1c8f8a", "#6f9d1e")
_DARK_RAMP = ("#8f86ff", "#4fb0f0", "#4fd3b0", "#d4e157")

WIDTH = 4.8
MARGIN = 0.1
LEFT, RIGHT, BOTTOM = 0.7, 0.26, 0.54
AXES_HEIGHT = 2.26
HEADING, KEY_ROW, GAP = 0.3, 0.2, 0.1
HEADING_ID, NOTES_ID = "heading", "notes"

RC: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "text.usetex": False,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.formatter.use_mathtext": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.unicode_minus": True,
    "axes.xmargin": 0.01,
    "figure.facecolor": "white",
    "figure.dpi": 100,
    "grid.color": GRID,
    "grid.linestyle": "-",
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "legend.fontsize": 10,
    "path.simplify": False,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 10,
    "xtick.major.size": 3,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 10,
    "ytick.major.size": 0,
    "svg.fonttype": "none",
    "svg.hashsalt": "normwise",
}
"""Every setting that the figures depend on, so that a reader's own matplotlibrc does not change them."""


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Draw under ``RC``."""

    @functools.wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        from matplotlib import rc_context

        with rc_context(RC):
            return draw(*args, **kwargs)

    return wrapper


def colour(place: int) -> str:
    """The colour of the arm at this place in the study."""
    return list(ARMS)[place % len(ARMS)]


def marker(place: int) -> str:
    """The marker of the arm at this place; colour and marker together repeat only after 56 arms."""
    return MARKERS[place % len(MARKERS)]


def ramp(index: int, count: int) -> str:
    """The colour of layer ``index`` of ``count``: from dark violet on the input side to light green at the output."""
    return _ramp(_RAMP)[round(index * (RAMP_STEPS - 1) / max(count - 1, 1))]


@functools.cache
def _ramp(stops: tuple[str, ...]) -> list[str]:
    channels = [[int(stop[at : at + 2], 16) for at in (1, 3, 5)] for stop in stops]
    colours = []
    for step in range(RAMP_STEPS):
        at, share = divmod(step * (len(stops) - 1) / (RAMP_STEPS - 1), 1)
        pair = zip(channels[int(at)], channels[min(int(at) + 1, len(stops) - 1)], strict=True)
        colours.append("#" + "".join(f"{round(a + share * (b - a)):02x}" for a, b in pair))
    return colours


def dark() -> dict[str, str]:
    """The colour on a dark page for each colour on white."""
    ink = {INK: "#e4e6ea", MUTED: "#a3aab6", GRID: "#2d323a"}
    return ink | ARMS | dict(zip(_ramp(_RAMP), _ramp(_DARK_RAMP), strict=True))


def dark_variables() -> str:
    """CSS declarations that turn the figures dark."""
    return " ".join(f"{variable(light)}: {night};" for light, night in dark().items())


def variable(light: str) -> str:
    """The CSS variable that holds a colour."""
    return f"--nw-{light[1:]}"


class Entry(NamedTuple):
    """One entry of a key: a label and the properties of its line."""

    label: str
    line: dict[str, Any]


def plain_text(text: str, most: int = 46) -> str:
    """The text for one line: control characters as spaces, the middle of a long one as an ellipsis."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return line if len(line) <= most else f"{line[: most - 15]}…{line[-14:]}"


def _ems(text: str) -> float:
    return sum(1.0 if unicodedata.east_asian_width(letter) in "WF" else 0.64 for letter in text)


def _columns(entries: Sequence[Entry]) -> int:
    widest = max(_ems(plain_text(entry.label)) for entry in entries) * 10 + 36
    return max(1, min(len(entries), int((WIDTH - 0.2) * 72 / widest)))


def panel(heading: str, entries: Sequence[Entry] = (), notes: Sequence[Entry] = ()) -> tuple[Figure, Axes]:
    """A figure of one panel: heading with notes at its right, the key below it, then the axes.

    The axes always have the same size; the figure grows with the rows of the key.
    """
    from matplotlib.figure import Figure

    columns = _columns(entries) if entries else 1
    rows = -(-len(entries) // columns)
    top = HEADING + rows * KEY_ROW + GAP
    height = top + AXES_HEIGHT + BOTTOM
    figure = Figure(figsize=(WIDTH, height))
    size = (LEFT / WIDTH, BOTTOM / height, (WIDTH - LEFT - RIGHT) / WIDTH, AXES_HEIGHT / height)
    axes = figure.add_axes(size)
    write_heading(figure, heading)
    if notes:
        corner = (1 - MARGIN / WIDTH, 1 - 0.08 / height)
        _key(figure, notes, columns=len(notes), loc="upper right", bbox_to_anchor=corner).set_gid(NOTES_ID)
    if entries:
        corner = (MARGIN / WIDTH, 1 - (HEADING + 0.02) / height)
        _key(figure, entries, columns=columns, loc="upper left", bbox_to_anchor=corner)
    return figure, axes


def write_heading(figure: Figure, text: str) -> None:
    """The name of what is drawn, at the upper left."""
    width, height = figure.get_size_inches()
    look: dict[str, Any] = {"va": "top", "size": 11, "weight": "bold", "parse_math": False, "gid": HEADING_ID}
    figure.text(MARGIN / width, 1 - 0.07 / height, plain_text(text, 46), **look)


def _key(figure: Figure, entries: Sequence[Entry], *, columns: int, **corner: Any) -> Legend:
    order = [entry for column in range(columns) for entry in entries[column::columns]]
    handles, labels = [_line(entry) for entry in order], ["label"] * len(order)
    spacing: dict[str, Any] = {"handlelength": 1.9, "handletextpad": 0.5, "columnspacing": 1.2, "labelspacing": 0.3}
    bare: dict[str, Any] = {"frameon": False, "borderpad": 0, "borderaxespad": 0}
    legend = figure.legend(handles, labels, ncols=columns, **corner, **bare, **spacing)
    for text, entry in zip(legend.get_texts(), order, strict=True):
        text.set_parse_math(False)
        text.set_text(plain_text(entry.label))
    return legend


def _line(entry: Entry) -> Line2D:
    from matplotlib.lines import Line2D

    return Line2D([], [], **entry.line)


def cross(colour: str) -> dict[str, Any]:
    """The mark of a run that diverged."""
    return {
        "color": colour, "linestyle": "none", "marker": "x", "markersize": 9, "markeredgewidth": 2.6, "clip_on": False
    }  # fmt: skip


def put_cross(axes: Axes, x: float, y: float, colour: str) -> None:
    """Mark where a run diverged; at the foot of the axes where its value, nan, is not known."""
    known = math.isfinite(y)
    transform = axes.transData if known else axes.get_xaxis_transform()
    axes.plot([x], [y if known else 0.0], transform=transform, **cross(colour), zorder=4)


def steps_axis(axes: Axes) -> None:
    """Label the x axis with training steps."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.set_xlabel("training step")
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.grid(visible=False, axis="x")


def percent_axis(axes: Axes) -> None:
    """Label the y axis, a share between 0 and 1, in percent."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))


def log_axis(axes: Axes, limits: tuple[float, float]) -> None:
    """Make the y axis logarithmic, with ticks at powers of ten, or also at 2 and 5 times one where there are few."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    low, high = limits
    axes.set_yscale("log", nonpositive="clip")
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if high / low > 200 else (1.0, 2.0, 5.0), numticks=7))
    axes.yaxis.set_minor_locator(NullLocator())
    write = "{:g}".format if low > 2e-4 and high < 2e4 else power_of_ten
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: write(value)))


def power_of_ten(value: float) -> str:
    """``10⁻⁵``, or ``2·10⁻⁵``."""
    digits, exponent = f"{value:.0e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{raised}" if digits == "1" else f"{digits}·10{raised}"
