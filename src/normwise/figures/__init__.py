"""The figures of a comparison, of a benchmark and of a diagnosis, one module each.

Every module has the same four functions: ``info`` makes plain data of records, ``title`` names them,
``describe`` says in words what they show (the alternative text), ``draw`` makes a matplotlib figure of them. Line
charts also have ``chart``: the same as plain data, for a page that draws it itself. matplotlib is imported when
something is drawn.
"""

from normwise.figures import (
    activations,
    agreement,
    confusion,
    curves,
    dots,
    gradients,
    heatmap,
    histograms,
    lines,
    pairs,
    preactivations,
    speed,
    sweep,
    traces,
)
from normwise.figures.chart import Chart
from normwise.figures.files import save, svg

__all__ = [
    "Chart",
    "activations",
    "agreement",
    "confusion",
    "curves",
    "dots",
    "gradients",
    "heatmap",
    "histograms",
    "lines",
    "pairs",
    "preactivations",
    "save",
    "speed",
    "svg",
    "sweep",
    "traces",
]
