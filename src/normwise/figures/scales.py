"""The axes of the figures: training steps, percent, and logarithms."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def steps_axis(axes: Axes, last: int | None = None) -> None:
    """Label the x axis with training steps; it reaches from 0 to ``last`` where that is given."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.set_xlabel("training step")
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.grid(visible=False, axis="x")
    if last:
        axes.set_xlim(-0.01 * last, 1.01 * last)


def percent_axis(axes: Axes) -> None:
    """Label the y axis, a share between 0 and 1, in percent."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value + 0.0:.4g} %"))


def y_axis(axes: Axes, limits: tuple[float, float], *, log: bool = False, percent: bool = False) -> None:
    """Set the limits of the y axis, and write its ticks as numbers, in percent or on a logarithmic scale."""
    if log:
        log_axis(axes, limits)
        return
    axes.set_ylim(*limits)
    if percent:
        percent_axis(axes)
    else:
        plain_axis(axes)


def x_axis(
    axes: Axes,
    limits: tuple[float, float],
    *,
    log: bool = False,
    percent: bool = False,
    most: int = 6,
    whole: bool = False,
) -> None:
    """The same for the x axis, with at most so many ticks, at whole numbers where that is said, and no grid."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    low, high = limits
    axes.grid(visible=False, axis="x")
    if log:
        axes.set_xscale("log")
        many = high / low > 200
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if many else (1.0, 2.0, 5.0), numticks=max(3, most)))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(
            MaxNLocator(most, steps=[1, 2, 5, 10] if whole else [1, 2, 2.5, 5, 10], integer=whole)
        )
    axes.set_xlim(low, high)
    write = (lambda value, _: f"{100 * value + 0.0:.4g} %") if percent else (lambda value, _: plain(value))
    axes.xaxis.set_major_formatter(FuncFormatter(write))


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


def plain_axis(axes: Axes) -> None:
    """Few ticks on the y axis, with thousands and no more digits than they need."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))


def plain(value: float) -> str:
    """A number with thousands, and no more digits than it needs: ``1,200``, ``0.05``, ``4·10¹⁵``."""
    size, value = abs(value), value + 0.0  # never -0
    if value == 0 or 1e-4 <= size < 1e6:
        return (f"{value:,.0f}" if size >= 1000 else f"{value:.4g}").replace("-", "\N{MINUS SIGN}")
    return power_of_ten(size) if value > 0 else f"\N{MINUS SIGN}{power_of_ten(size)}"


def power_of_ten(value: float) -> str:
    """``10⁻⁵``, or ``2·10⁻⁵``."""
    digits, exponent = f"{value:.0e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{raised}" if digits == "1" else f"{digits}·10{raised}"
