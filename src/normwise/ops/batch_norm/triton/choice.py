"""Which algorithm a shape gets, with which tile: a rule, which is a pure function of sizes, and what else may be tried.

resident   one program keeps a tile with all positions of its channels in registers, and reads them once
split      parts of a channel are reduced apart and merged; a second pass, last tiles first, computes the elements

What fits in registers is resident: a pass over memory and two launches less outweigh SMs that idle while few programs
run. Small tensors are resident too, several channels to a program of few warps.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

RESIDENT = 16384  # elements of a resident tile at most; with twice as many, registers are spilled
WARPS = 8  # of a resident program, at most: 256 threads, each with up to 255 registers
LANE = 32  # elements of a resident tile that a thread keeps before another warp joins; about three registers for each
FULL = 1024  # elements below which a resident tile takes more channels, if programs remain for all SMs
RUN = 64  # bytes side by side that a program should read at least: two sectors of the cache
LINE = 128  # bytes of a row that a split tile reads
PART = 8192  # bytes that a program reads of a split tile, 64 for each thread of 4 warps
WAVES = 8  # programs per SM of a split pass
LONG = 16  # tiles of a part at most, so that its sums stay short
MANY = 8192  # parts at most, which one program merges
MERGING_WARPS = 16  # of that program, at most
MOST_WARPS = 16  # of a program that the rule does not make
MOST_LANE = 64  # elements that a thread keeps of any tile, at most
OTHERS = 5  # choices to try besides the rule's, at most


class Problem(NamedTuple):
    """What the choice depends on.

    Attributes:
        groups: of examples.
        channels: C.
        outer: examples per group, or rows of channels.
        inner: positions side by side; 1 where channels are.
        itemsize: bytes of an element.
        read: tensors that are reduced: 1 forward, x; 2 backward, x and the gradient of y.
        sms: streaming multiprocessors (AMD: compute units) of the device.
    """

    groups: int
    channels: int
    outer: int
    inner: int
    itemsize: int
    read: int
    sms: int


class Tile(NamedTuple):
    """Examples or rows, channels and positions that are in registers together, each a power of two; and warps."""

    n: int
    c: int
    s: int
    warps: int

    @property
    def size(self) -> int:
        """Elements."""
        return self.n * self.c * self.s


class Choice(NamedTuple):
    """How a tensor is cut up.

    ``parts`` runs of ``per`` tiles for each block of channels; resident has one tile in one part.
    """

    algorithm: str
    tile: Tile
    tiles: int
    per: int
    parts: int

    def __str__(self) -> str:
        n, c, s, warps = self.tile
        return f"{self.algorithm} {n}x{c}x{s} in {warps} warps, {self.parts} parts of {self.per}"


@functools.lru_cache(maxsize=4096)
def choose(problem: Problem) -> Choice:
    """The algorithm for computing all of forward or backward."""
    tile = resident(problem)
    return split(problem) if tile is None else _whole(tile)


def candidates(problem: Problem) -> list[Choice]:
    """What the rule chooses, and then up to ``OTHERS`` that may be quicker on some device, the most promising first.

    Resident tiles have other warps or channels than the rule's; where that has none, one that reads half as many bytes
    side by side may fit. Split ones have tiles of half or twice the size, more warps, or other parts.
    """
    tile = resident(problem)
    if tile is None:
        tiles = [_tile(problem, _channels_of_a_run(problem) // 2)]
        cuts = [_cut(problem, *way) for way in _OTHER_CUTS]
    else:
        more, fewer = (tile._replace(warps=warps) for warps in (2 * tile.warps, tile.warps // 2))
        tiles = [more, fewer, _tile(problem, 2 * tile.c), _tile(problem, tile.c // 2)]
        cuts = [split(problem)]
    fitting = [_whole(tile) for tile in tiles if _fits(problem, tile)]
    return list(dict.fromkeys([choose(problem), *fitting, *cuts]))[: 1 + OTHERS]


def resident(problem: Problem) -> Tile | None:
    """The tile that holds all positions of some channels, or None where it does not fit in registers."""
    tile = _tile(problem, _channels_of_a_run(problem))
    if tile.size > RESIDENT:
        return None
    while tile.size < FULL and _blocks(problem, 2 * tile.c) >= 2 * problem.sms:
        tile = _tile(problem, 2 * tile.c)
    return tile


@functools.lru_cache(maxsize=4096)
def split(problem: Problem) -> Choice:
    """Tiles of about PART bytes, and parts enough to keep every SM busy."""
    return _cut(problem, PART, 4, WAVES)


# Bytes of a tile, warps and programs per SM.
_OTHER_CUTS = (
    (PART // 2, 4, WAVES),
    (2 * PART, 8, WAVES),
    (PART, 8, WAVES),
    (PART, 4, WAVES // 2),
    (PART, 4, 2 * WAVES),
)


def _cut(problem: Problem, size: int, warps: int, waves: int) -> Choice:
    elements = size // (problem.itemsize * problem.read)
    least = _channels_of_a_run(problem)
    wide = max(least, power_of_two(LINE // (problem.inner * problem.itemsize)))
    c = _least_padding(problem.channels, least, min(wide, power_of_two(problem.channels)))
    whole = power_of_two(problem.inner)
    s = _least_padding(problem.inner, min(whole, 128), min(whole, 1024))
    n = min(power_of_two(problem.outer), max(1, elements // (c * s)))
    tiles = -(-problem.outer // n) * -(-problem.inner // s)
    wanted = -(-waves * problem.sms // _blocks(problem, c))
    per = max(min(-(-tiles // min(wanted, tiles)), LONG), -(-tiles // MANY))
    tile = Tile(n, c, s, max(1, min(warps, n * c * s // 256)))
    return Choice("split", tile, tiles, per, -(-tiles // per))


def _tile(problem: Problem, c: int) -> Tile:
    """All positions of so many channels."""
    n, s = power_of_two(problem.outer), power_of_two(problem.inner)
    return Tile(n, c, s, _warps(n * c * s))


def _whole(tile: Tile) -> Choice:
    return Choice("resident", tile, 1, 1, 1)


def _fits(problem: Problem, tile: Tile) -> bool:
    """Whether a tile's threads have registers for it, and all have something to do."""
    threads = 32 * tile.warps
    return (
        1 <= tile.c <= power_of_two(problem.channels)
        and 1 <= tile.warps <= MOST_WARPS
        and (threads <= tile.size or tile.warps == 1)
        and tile.size <= min(RESIDENT, MOST_LANE * threads)
    )


def merging(parts: int) -> tuple[int, int, int]:
    """The tile of a program that merges the parts, (parts, channels), and its warps."""
    rows = power_of_two(parts)
    columns = max(1, min(32, 8192 // rows))
    return rows, columns, max(1, min(MERGING_WARPS, rows * columns // 512))


def power_of_two(size: int) -> int:
    """The least that is not smaller."""
    return 1 << max(size - 1, 0).bit_length()


def _channels_of_a_run(problem: Problem) -> int:
    """Channels that make RUN bytes side by side, or all."""
    wanted = power_of_two(-(-RUN // (problem.inner * problem.itemsize)))
    return min(wanted, power_of_two(problem.channels))


def _blocks(problem: Problem, c: int) -> int:
    return problem.groups * -(-problem.channels // c)


def _warps(size: int) -> int:
    return max(1, min(WARPS, size // (32 * LANE)))


def _least_padding(size: int, least: int, most: int) -> int:
    """The power of two between two others whose multiples cover a size with the least rest, the largest of equals."""
    found, tried = most, most
    while tried > least:
        tried //= 2
        if -(-size // tried) * tried < -(-size // found) * found:
            found = tried
    return found
