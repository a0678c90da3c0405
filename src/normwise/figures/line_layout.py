"""Where the frames of a figure of lines stand, and the names of lines and levels in them; nothing is drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from normwise.figures import endings, layout
from normwise.figures.line_data import Frame, Info, Level, Line, mean, share


class Sizes(NamedTuple):
    """Lengths in inches, and how many frames stand in a row."""

    width: float
    height: float
    columns: int
    rows: int
    left: float
    right: float
    top: float
    wide: float
    tall: float
    gap: float
    between: float
    title: float

    def frame(self, place: int) -> tuple[float, float, float, float]:
        """Where a frame is, as shares of the figure."""
        row, column = divmod(place, self.columns)
        bottom = self.height - self.top - self.title - self.tall * (row + 1) - self.between * row
        left = self.left + column * (self.wide + self.gap)
        return left / self.width, bottom / self.height, self.wide / self.width, self.tall / self.height


def sizes(info: Info, width: float, key: Sequence[layout.Entry], names: float) -> Sizes:
    """The layout of a figure of a width with a key and with room for names at its right."""
    count = len(info.frames)
    columns = min(info.columns, count, 9 if width >= 6 else 2 if count > 4 else 1)
    rows = -(-count // columns)
    single, left, right = count == 1, layout.LEFT, max(layout.RIGHT, names)
    gap = 0.22 if columns > 2 else 0.42
    wide = (width - left - right - gap * (columns - 1)) / columns
    tall = _tall(width) if single else wide * (0.56 if columns == 1 else 0.72)
    title = 0.0 if not any(frame.title for frame in info.frames) else 0.2
    between = 0.12 + title if columns < count else 0.3
    top = layout.HEADING + layout.KEY_ROW * layout.key_rows(key, width) + layout.GAP + layout.LABEL_ROW
    height = top + title + rows * tall + (rows - 1) * between + layout.BOTTOM
    return Sizes(width, height, columns, rows, left, right, top, wide, tall, gap, between, title)


def _tall(width: float) -> float:
    """The height of the axes of a single frame."""
    return 3.1 if width >= 6 else layout.AXES_HEIGHT


def names(info: Info, width: float) -> list[endings.Ending]:
    """The names of the lines at their right ends; none where there are several frames, or where they do not fit.

    Of several lines with one name, the name stands at the mean of their ends.
    """
    if len(info.frames) > 1 or width < 6:
        return []
    found: dict[str, tuple[int, list[tuple[float, float]]]] = {}
    for line in info.frames[0].lines:
        end = _end(line, info)
        found.setdefault(line.name, (line.place, []))[1].extend([end] if end else [])
    ends = [(name, place, *mean(points)) for name, (place, points) in found.items() if points]
    if len(ends) < len(found) or any(x < 0.6 for _, _, x, _ in ends):
        return []
    tall = _tall(width)
    return endings.endings([(name, place, x, tall * y) for name, place, x, y in ends], tall)


def _end(line: Line, info: Info) -> tuple[float, float] | None:
    """Where a line ends, as shares of the axes; None for a line without a finite value, or that ends in no order."""
    assert info.x.limits is not None
    low, high = info.x.limits
    there = [(x, y) for x, y in zip(line.x, line.y, strict=True) if low <= x <= high and math.isfinite(y)]
    if not there:
        return None
    x, y = there[-1] if line.look == "path" else max(there)
    return share(x, info.x), share(y, info.y)


def side(level: Level, frame: Frame, info: Info) -> Literal["left", "right"]:
    """At which end of a horizontal line its name stands: where the lines are farther from it."""
    assert info.x.limits is not None
    low, high = info.x.limits
    near: dict[str, list[float]] = {"left": [1.0], "right": [1.0]}
    for line in frame.lines:
        there = [(x, y) for x, y in zip(line.x, line.y, strict=True) if low <= x <= high and math.isfinite(y)]
        for x, y in there:
            across = share(x, info.x)
            ends = ["left"] * (across < 0.35) + ["right"] * (across > 0.65)
            for end in ends:
                near[end].append(abs(share(y, info.y) - share(level.value, info.y)))
    return "left" if min(near["left"]) > min(near["right"]) + 0.05 else "right"
