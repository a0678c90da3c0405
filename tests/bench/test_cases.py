import math

import pytest

from normwise.bench import cases
from normwise.bench.cases import Case
from normwise.errors import RequestError


@pytest.mark.parametrize("table", [cases.table(), cases.quick(), cases.of_shapes([(4, 3, 2, 2), (4, 3, 2, 2)])])
def test_cases_are_unique_and_can_be_normalized(table):
    names = [case.name for case in table]
    assert len(set(names)) == len(names) > 0
    assert all(math.prod(case.shape) > case.channels for case in table)


def test_the_quick_table_and_the_compiled_cases_are_part_of_the_whole():
    whole = set(cases.table())
    assert set(cases.quick()) <= whole
    assert set(cases.COMPILED) <= {case.name for case in whole}


def test_every_layout_epilogue_and_mode_is_in_the_table():
    table = cases.table()
    assert {case.layout for case in table} == {"contiguous", "channels_last"}
    assert {case.epilogue for case in table} == set(cases.TABLE_EPILOGUES) <= set(cases.EPILOGUES)
    assert {case.mode for case in table} == set(cases.MODES)


def test_channels_last_only_where_torch_has_it():
    assert cases.layouts((60, 100)) == cases.layouts((4, 3, 9)) == ("contiguous",)
    assert cases.layouts((4, 3, 9, 9)) == cases.layouts((4, 3, 9, 9, 9)) == ("contiguous", "channels_last")


def test_a_case_is_named_by_its_parts():
    case = Case((60, 100), "contiguous", "bn+add+relu", "forward")
    assert case.name == "60x100 contiguous bn+add+relu forward"
    assert (case.values, case.channels, case.activation, case.residual) == (6000, 100, "relu", True)
    half = case._replace(dtype="bfloat16")
    assert half.name == f"{case.name} bfloat16"
    assert (case.bytes, half.bytes) == (24_000, 12_000)


def test_only_keeps_the_cases_with_the_text_in_their_names():
    found = cases.matching(cases.table(), "60x100 contiguous bn+silu")
    assert [case.mode for case in found] == list(cases.MODES)
    with pytest.raises(RequestError, match="no case has 'bn\\+swish' in its name"):
        cases.matching(cases.table(), "bn+swish")


@pytest.mark.parametrize("text", ["32", "32x", "32x0x4", "axb", "1x2x3x4x5x6", "-3x4", ""])
def test_a_shape_is_two_to_five_sizes(text):
    with pytest.raises(RequestError, match="two to five whole numbers"):
        cases.read_shape(text)


def test_a_shape_is_read_and_written():
    assert cases.read_shape("32x64×7X5") == (32, 64, 7, 5)
    assert cases.write_shape((32, 64, 7, 5)) == "32x64x7x5"


@pytest.mark.parametrize("text", ["1x5x1x1", "2x5", "1x5x2"])
def test_fewer_than_three_values_per_channel_are_refused(text):
    with pytest.raises(RequestError, match="3 values or more per channel"):
        cases.read_shape(text)
    assert cases.read_shape("3x5") == (3, 5)
