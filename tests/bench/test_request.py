import pytest

from normwise.bench import cases, entries
from normwise.bench.request import request
from normwise.errors import RequestError


def test_by_default_the_whole_table_and_the_networks():
    asked = request()
    assert asked.cases == cases.table()
    assert (asked.steps, asked.peaks, asked.chain) == (entries.STEPS, entries.PEAKS, True)
    assert asked.compiled == cases.COMPILED
    assert asked.threads is None


def test_quick_is_smaller():
    asked = request(quick=True)
    assert asked.cases == cases.quick()
    assert asked.steps == (entries.MLP,)
    assert asked.compiled == ()


def test_own_shapes_come_without_networks():
    asked = request(
        shapes=["6x5", "6x5x4x4"], only="channels_last bn+relu", compile=True, threads="2", impl="reference"
    )
    assert [case.name for case in asked.cases] == [f"6x5x4x4 channels_last bn+relu {mode}" for mode in cases.MODES]
    assert (asked.steps, asked.peaks, asked.chain) == ((), (), False)
    assert asked.compiled is None
    assert (asked.threads, asked.settings.impl) == (2, "reference")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"shapes": ["6"]}, "shape is '6'"),
        ({"shapes": ["6x5"], "quick": True}, "give one of them"),
        ({"only": "swish"}, "no case has 'swish'"),
        ({"threads": "0"}, "threads is '0'"),
        ({"impl": "cpuu"}, "did you mean 'cpu'"),
    ],
)
def test_a_wrong_request_says_what_is_allowed(options, said):
    with pytest.raises(RequestError, match=said):
        request(**options)
