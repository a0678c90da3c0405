"""How the figures look: the colours of the arms and layers, on white and on dark, and matplotlib's settings.

A colour is written as it is on white; ``dark`` has its counterpart on a dark page. In an inline SVG each such colour
becomes ``var(--nw-0072b2, #0072b2)``, so a page that sets the variables of ``dark_variables`` follows its reader's
preference, and one that does not still shows the figure.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

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
    "#1f9cc2": "#a5e3ff",  # sky
    "#6a7180": "#949cab",  # grey
    "#8a4b2d": "#c79a7c",  # brown
    "#c2375f": "#ff6f8f",  # crimson
}
"""After Okabe & Ito (2008), the pale ones darkened until they stand out on white; each with its colour on dark."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")

RAMP_STEPS = 16
_RAMP = ("#2b1a6e", "#24609c", "#1c8f8a", "#6f9d1e")
_DARK_RAMP = ("#8f86ff", "#4fb0f0", "#4fd3b0", "#d4e157")

RC: Any = {
    "font.family": ["DejaVu Sans"],
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


ALPHABETS = (
    "Noto Sans CJK KR", "Noto Sans CJK JP", "Noto Sans CJK SC", "NanumGothic", "Malgun Gothic", "AppleGothic",
    "Apple SD Gothic Neo", "Hiragino Sans", "PingFang SC", "Microsoft YaHei", "WenQuanYi Zen Hei",
)  # fmt: skip
"""Typefaces with letters that DejaVu Sans lacks; those that are installed are used."""


@functools.cache
def settings() -> Any:
    """``RC`` with the typefaces that are installed, in the order in which a letter is looked for."""
    from matplotlib import font_manager

    installed = {font.name for font in font_manager.fontManager.ttflist}
    return {**RC, "font.family": ["DejaVu Sans", *(name for name in ALPHABETS if name in installed)]}


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Draw under ``settings``."""

    @functools.wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        from matplotlib import rc_context

        with rc_context(settings()):
            return draw(*args, **kwargs)

    return wrapper


def colour(place: int) -> str:
    """The colour of the arm at this place in the study."""
    return list(ARMS)[place % len(ARMS)]


def marker(place: int) -> str:
    """The marker of the arm at this place; colour and marker together repeat only after 72 arms."""
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
