"""Names at the right ends of lines: where they fit without covering each other. Plain data, nothing drawn."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import NamedTuple

from normwise.figures import layout

LINE = 0.165
"""Inches from one line of text to the next."""
FAR = 0.42
"""Inches that a name may stand above or below the end of its line."""
WIDEST = 24
"""Letters of a line of a name; names take up to two lines."""
MOST = 8
"""Names; more are easier to find in a key."""


class Ending(NamedTuple):
    """A name at the end of a line.

    Attributes:
        text: the name, in one or two lines.
        place: of the line's color.
        x: where the line ends, as a share of the axes' width.
        end: its height there, in inches from the foot of the axes.
        at: the height of the name's middle.
    """

    text: str
    place: int
    x: float
    end: float
    at: float


def endings(ends: Sequence[tuple[str, int, float, float]], height: float) -> list[Ending]:
    """The names beside the ends, moved apart; none at all where one would have to go too far from its line.

    Args:
        ends: name, place of the color, x as a share of the width and height in inches of each line's end.
        height: of the axes, in inches.
    """
    if not ends or len(ends) > MOST:
        return []
    order = sorted(ends, key=lambda end: end[3])
    texts = [wrapped(name) for name, *_ in order]
    if any(len(text) > 2 for text in texts):
        return []
    sizes = [LINE * len(text) for text in texts]
    places = apart([end[3] for end in order], sizes, height)
    if places is None or any(abs(at - end[3]) > FAR for at, end in zip(places, order, strict=True)):
        return []
    return [
        Ending("\n".join(text), place, x, end, at)
        for text, (_, place, x, end), at in zip(texts, order, places, strict=True)
    ]


def apart(middles: Sequence[float], sizes: Sequence[float], height: float) -> list[float] | None:
    """Positions near the middles, in their order, at which pieces of these sizes do not overlap within ``height``.

    Pieces that touch move together by the mean of what they would move alone; None where there is no room.
    """
    if sum(sizes) > height:
        return None
    blocks: list[list[int]] = []
    starts: list[float] = []
    for piece in range(len(middles)):
        blocks.append([piece])
        starts.append(_start(blocks[-1], middles, sizes, height))
        while len(blocks) > 1 and starts[-2] + sum(sizes[each] for each in blocks[-2]) > starts[-1] + 1e-9:
            last = blocks.pop()
            blocks[-1] += last
            starts.pop()
            starts[-1] = _start(blocks[-1], middles, sizes, height)
    found = []
    for block, start in zip(blocks, starts, strict=True):
        for piece in block:
            found.append(start + sizes[piece] / 2)
            start += sizes[piece]
    return found


def _start(block: Sequence[int], middles: Sequence[float], sizes: Sequence[float], height: float) -> float:
    before, wanted = 0.0, 0.0
    for piece in block:
        wanted += middles[piece] - before - sizes[piece] / 2
        before += sizes[piece]
    return min(max(wanted / len(block), 0.0), height - before)


def wrapped(name: str) -> list[str]:
    """A name in lines of at most ``WIDEST`` letters, wide ones counted as one and a half."""
    plain = layout.plain_text(name, 2 * WIDEST)
    wide = layout.ems(plain) / 0.64 / max(len(plain), 1)
    return textwrap.wrap(plain, max(6, round(WIDEST / wide)), break_long_words=True) or [""]


def room(found: Sequence[Ending], size: float = 10.0) -> float:
    """Inches that the names take at the right of the axes; the letters that are half as wide again count as that."""
    lines = [line for each in found for line in each.text.split("\n")]
    widest = max(
        (layout.ems(line) + 0.33 * sum(line.count(letter) for letter in "mwMW%") for line in lines), default=0.0
    )
    return widest * size * 0.94 / 72 + 0.16 if found else 0.0
