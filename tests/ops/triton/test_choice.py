"""Which algorithm a shape gets: a pure function, whatever the device."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from normwise.bench.cases import CHANNELS_LAST, SHAPES, layouts
from normwise.ops.batch_norm.triton.choice import (
    LONG,
    MANY,
    MERGING_WARPS,
    MOST_LANE,
    MOST_WARPS,
    OTHERS,
    RESIDENT,
    WARPS,
    Problem,
    candidates,
    choose,
    merging,
    power_of_two,
    resident,
    split,
)

SMS = 132
TABLE = [(shape, layout) for family in SHAPES.values() for shape in family for layout in layouts(shape)]


def problem(shape, layout="contiguous", itemsize=2, read=1, groups=1) -> Problem:
    """As the layout of such a tensor is planned; (N, C) lies in rows."""
    channels, positions = shape[1], math.prod(shape[2:])
    rows = layout == CHANNELS_LAST or len(shape) == 2
    outer, inner = (shape[0] * positions, 1) if rows else (shape[0], positions)
    return Problem(groups, channels, outer // groups, inner, itemsize, read, SMS)


def covers(asked: Problem, chosen) -> bool:
    """Whether all tiles of all parts together hold every value, and no part is empty."""
    tile = chosen.tile
    tiles = -(-asked.outer // tile.n) * -(-asked.inner // tile.s)
    return chosen.tiles == tiles and (chosen.parts - 1) * chosen.per < tiles <= chosen.parts * chosen.per


def fits(chosen, warps=WARPS) -> bool:
    """Powers of two that so many threads have registers for."""
    tile = chosen.tile
    powers = all(n == power_of_two(n) for n in (tile.n, tile.c, tile.s, tile.warps))
    return powers and tile.warps <= warps and tile.size <= min(RESIDENT, 32 * MOST_LANE * tile.warps)


def asked(itemsizes=(2, 4), reads=(1, 2)) -> list[Problem]:
    """The shapes of the benchmark."""
    return [problem(*case, itemsize, read) for case in TABLE for itemsize in itemsizes for read in reads]


def test_every_shape_of_the_benchmark_gets_a_tile_that_fits():
    assert len(asked()) > 200
    for each in asked():
        for chosen in (choose(each), split(each)):
            assert covers(each, chosen), (each, chosen)
            assert fits(chosen), (each, chosen)


def test_every_shape_of_the_benchmark_has_two_to_five_other_ways():
    for each in asked():
        found = candidates(each)
        assert found[0] == choose(each)
        assert len(set(map(str, found))) == len(found)
        assert 2 <= len(found) - 1 <= OTHERS, each
        assert {True} == {covers(each, way) and fits(way, MOST_WARPS) for way in found}, each


def test_what_is_resident_may_be_split_and_the_other_way_round():
    for shape, layout in (((32, 64, 7, 7), "contiguous"), ((2048, 128), "contiguous")):
        assert {each.algorithm for each in candidates(problem(shape, layout, 4))} == {"resident", "split"}


@given(
    st.builds(
        Problem,
        groups=st.integers(1, 4),
        channels=st.integers(1, 5000),
        outer=st.integers(1, 1 << 22),
        inner=st.integers(1, 1 << 20),
        itemsize=st.sampled_from([2, 4]),
        read=st.sampled_from([1, 2]),
        sms=st.sampled_from([1, 20, 132, 304]),
    )
)
def test_whatever_the_sizes_every_value_is_in_a_tile_that_fits(drawn):
    for chosen in (choose(drawn), split(drawn)):
        assert covers(drawn, chosen)
        assert fits(chosen)
    for chosen in (split(drawn), *candidates(drawn)):
        assert covers(drawn, chosen)
        assert fits(chosen, MOST_WARPS)
        rows, columns, warps = merging(chosen.parts)
        assert chosen.parts <= rows
        assert chosen.parts <= MANY
        assert rows * columns <= max(8192, rows)
        assert 1 <= warps <= MERGING_WARPS


@pytest.mark.parametrize(
    ("shape", "layout", "algorithm"),
    [
        ((60, 100), "contiguous", "resident"),
        ((32, 64, 4, 4), "contiguous", "resident"),
        ((32, 2048, 7, 7), "contiguous", "resident"),
        ((32, 1024, 14, 14), "contiguous", "resident"),
        ((32, 64, 112, 112), "contiguous", "split"),
        ((32, 64, 112, 112), CHANNELS_LAST, "split"),
        ((32, 2048, 7, 7), CHANNELS_LAST, "split"),
        ((2, 2048, 7, 7), CHANNELS_LAST, "resident"),
    ],
    ids=str,
)
def test_what_fits_in_registers_is_resident(shape, layout, algorithm):
    assert choose(problem(shape, layout)).algorithm == algorithm


@pytest.mark.parametrize(("shape", "layout"), [((32, 64, 112, 112), CHANNELS_LAST), ((32, 64, 112, 112), "contiguous")])
def test_a_large_tensor_keeps_every_sm_busy_with_short_parts(shape, layout):
    large = problem(shape, layout)
    chosen = split(large)
    programs = chosen.parts * -(-large.channels // chosen.tile.c)
    assert programs >= 4 * SMS
    assert chosen.per <= LONG


def test_rows_are_read_in_runs_of_64_bytes():
    for each in asked(reads=[1]):
        for chosen in (choose(each), split(each)):
            run = min(chosen.tile.c, each.channels) * min(chosen.tile.s, each.inner) * each.itemsize
            assert run >= min(64, each.channels * each.inner * each.itemsize), (each, chosen)


def test_small_tensors_take_several_channels_to_a_program():
    tile = resident(problem((32, 4096), itemsize=4))
    assert tile is not None
    assert tile.c > 1
    assert tile.warps == 1


def test_the_device_does_not_change_what_is_computed_of_a_resident_channel():
    shape = problem((32, 256, 14, 14))
    assert {choose(shape._replace(sms=sms)).algorithm for sms in (1, 20, 132, 304)} == {"resident"}
