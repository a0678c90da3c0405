from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from normwise.errors import DataError
from normwise.lab.data.parts import Part
from normwise.lab.data.split import split, taken


def _labelled(y) -> Part:
    return Part(np.arange(len(y)), np.asarray(y, dtype=np.int64))


def test_split_is_pinned():
    """The parts must never change: recorded results would no longer be about the same examples."""
    _, off = split(_labelled(np.arange(30) % 3), 0.2, "validation")
    assert off.X.tolist() == [1, 2, 9, 13, 23, 27]


@given(st.lists(st.integers(0, 5), min_size=12, max_size=200), st.sampled_from([1 / 12, 1 / 6, 1 / 5, 1 / 2]))
def test_split_is_a_stratified_partition(y, share):
    whole = _labelled(y)
    try:
        left, off = split(whole, share, "validation")
    except DataError:
        assert np.bincount(y).max() == 1
        return
    assert sorted([*left.X, *off.X]) == list(range(len(y)))
    assert (np.diff(left.X) > 0).all()
    assert (np.diff(off.X) > 0).all()
    assert (whole.y[off.X] == off.y).all()
    counts, given = np.bincount(y, minlength=6), np.bincount(off.y, minlength=6)
    assert (given[counts == 1] == 0).all()
    assert (given < np.maximum(counts, 1)).all()
    assert (given[counts > 1] > 0).all()
    # Rounding moves a class by one example at most, beyond that one is always kept.
    assert (np.abs(given - np.minimum(counts * share, np.maximum(counts - 1, 0))) <= 1).all()


def test_split_has_the_whole_share_where_classes_allow_it():
    _, off = split(_labelled(np.repeat(np.arange(10), 7)), 1 / 6, "validation")
    assert len(off) == round(70 / 6)
    assert set(np.bincount(off.y)) == {1, 2}


def test_split_draws_from_everywhere():
    """Data are often sorted: the examples taken off are not the first or last of their class."""
    _, off = split(_labelled(np.zeros(1000)), 0.1, "validation")
    assert 300 < off.X.mean() < 700
    assert off.X.min() < 50
    assert off.X.max() > 950


@pytest.mark.parametrize("y", [[0, 1, 2, 3], [0, 1]])
def test_split_refuses_when_no_class_can_spare_one(y):
    with pytest.raises(
        DataError, match=rf"{len(y)} examples of {len(y)} classes are too few to take a validation part"
    ):
        split(_labelled(y), 0.5, "validation")


@given(st.integers(2, 300), st.sampled_from([1 / 12, 1 / 6, 1 / 2]))
def test_a_plain_split_has_the_whole_share(count, share):
    whole = Part(np.arange(count), np.linspace(0, 1, count))
    left, off = split(whole, share, "validation", stratified=False)
    assert len(off) == max(1, round(count * share))
    assert sorted([*left.X, *off.X]) == list(range(count))


def test_a_plain_split_is_pinned():
    assert np.flatnonzero(taken(30, 0.2, "validation")).tolist() == [1, 2, 9, 13, 23, 27]


def test_one_example_cannot_be_divided():
    with pytest.raises(DataError, match="1 example is too few to take a validation part off; give more examples"):
        taken(1, 0.5, "validation")
