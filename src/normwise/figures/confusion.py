"""Which classes are taken for which: a confusion matrix of the test data at the best step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from normwise.figures import layout, outputs, style
from normwise.figures.series import arm
from normwise.records import RunRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NUMBERED, NAMED = 10, 20  # up to so many classes have numbers in the cells, and names at the sides
SIDE = 3.1  # of the matrix, in inches
LETTER = 0.085  # of a name, in inches
DARKEST = 0.6  # opacity of a cell that holds its whole row, so that the number on it can be read


class Info(NamedTuple):
    """What is drawn.

    ``counts[true][predicted]`` are test examples (or positions), summed over the runs; ``place`` is the arm's place in
    the study.
    """

    arm: str
    runs: int
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    place: int

    def share(self, true: int, predicted: int) -> float:
        """Of the examples of class ``true``, the share taken for ``predicted``; 0 where there are none."""
        return self.counts[true][predicted] / max(sum(self.counts[true]), 1)


def info(runs: Sequence[RunRecord], classes: Sequence[str] = (), place: int = 0) -> Info | None:
    """The matrix of one arm, summed over its runs; None where no run kept outputs that fit.

    Args:
        runs: the runs of one arm, of a classification or a binary task.
        classes: the names of the classes; numbers where there are none.
        place: the arm's place in the study.
    """
    kind = str(runs[0].settings.get("task"))
    found = [pair for one in outputs.read(runs) if (pair := outputs.pairs(one, kind)) is not None]
    if not found:
        return None
    count = max(2, len(classes), *(int(max(part.max(initial=0) for part in pair)) + 1 for pair in found))
    total = np.zeros((count, count), dtype=np.int64)
    for predicted, true in found:
        np.add.at(total, (true, predicted), 1)
    names = tuple(classes) if len(classes) == count else tuple(map(str, range(count)))
    return Info(arm(runs[0]), len(found), names, tuple(map(tuple, total.tolist())), place)


def title(info: Info) -> str:
    """The heading: which arm, and what is drawn."""
    return f"{info.arm}: confusion matrix"


def describe(info: Info) -> str:
    """The figure in words."""
    total = sum(map(sum, info.counts))
    right = sum(row[place] for place, row in enumerate(info.counts))
    said = f"Confusion matrix of {info.arm}, {_pooled(info.runs)}: {right:,} of {total:,} right."
    wrong = sorted(
        (-info.share(true, predicted), true, predicted)
        for true in range(len(info.classes))
        for predicted in range(len(info.classes))
        if true != predicted and info.counts[true][predicted]
    )
    pairs = [f"{info.classes[t]} for {info.classes[p]} ({-100 * share:.1f} %)" for share, t, p in wrong[:3]]
    return f"{said} Most often mistaken: {', '.join(pairs)}." if pairs else said


def _pooled(runs: int) -> str:
    return "1 run" if runs == 1 else f"{runs} runs together"


@style.styled
def draw(info: Info) -> Figure:
    """Draw rows of true and columns of predicted classes, each cell as dark as its share of its row."""
    from normwise.figures.notebook import NotebookFigure

    count = len(info.classes)
    names = [layout.plain_text(name, 16) for name in info.classes] if count <= NAMED else []
    long = max((len(name) for name in names), default=0)
    flat = LETTER * long < SIDE / count
    left, foot = 0.45 + min(LETTER * long, 1.0), 0.57 if flat else 0.42 + 0.9 * LETTER * long
    top = layout.HEADING + 0.08
    height = top + SIDE + foot
    figure = NotebookFigure(figsize=(layout.WIDTH, height))
    layout.write_heading(figure, title(info._replace(arm=layout.plain_text(info.arm, 18))))
    axes = figure.add_axes((left / layout.WIDTH, foot / height, SIDE / layout.WIDTH, SIDE / height))
    axes.set(xlim=(0, count), ylim=(count, 0), xlabel="predicted", ylabel="true")
    axes.grid(visible=False)
    (_cells if count <= NAMED else _image)(axes, info)
    ticks = [place + 0.5 for place in range(len(names))]
    upright: dict[str, Any] = {} if flat else {"rotation": 90}
    axes.set_xticks(ticks, names, parse_math=False, **upright)
    axes.set_yticks(ticks, names, parse_math=False)
    axes.tick_params(length=0)
    return figure


def _cells(axes: Axes, info: Info) -> None:
    from matplotlib.patches import Rectangle

    count = len(info.classes)
    for true in range(count):
        for predicted in range(count):
            share = info.share(true, predicted)
            if share == 0:
                continue
            look: dict[str, Any] = {"facecolor": style.colour(info.place), "linewidth": 0}
            axes.add_patch(Rectangle((predicted, true), 1, 1, alpha=0.04 + (DARKEST - 0.04) * share, **look))
            if count <= NUMBERED and round(100 * share) > 0:
                text = f"{100 * share:.0f}" + (" %" if count <= 4 else "")
                axes.text(predicted + 0.5, true + 0.5, text, ha="center", va="center")


def _image(axes: Axes, info: Info) -> None:
    count = len(info.classes)
    channels = [int(style.colour(info.place)[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    pixels = np.empty((count, count, 4))
    pixels[..., :3] = channels
    counts = np.array(info.counts, dtype=float)
    pixels[..., 3] = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(pixels, extent=(0, count, count, 0), interpolation="nearest", aspect="auto")
