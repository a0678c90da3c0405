from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from normwise.errors import DataError
from normwise.lab.data.targets import convert, kind_of

Y = np.array([0, 1, 2])
EYE = np.eye(3)


@pytest.mark.parametrize(
    ("y", "kind"),
    [
        (np.array(["cat", "dog"]), "classification"),
        (np.array(["cat", "dog"], dtype=object), "classification"),
        (Y, "classification"),
        (Y.astype(np.uint8), "classification"),
        (Y[:, None], "classification"),
        (np.array([0, 1, -100, 2]), "classification"),
        (Y > 0, "classification"),
        (np.tile(Y, (4, 2)), "classification"),
        (np.zeros((2, 5, 4), np.uint8) + np.array([0, 1, 2, 3], np.uint8), "classification"),
        (np.arange(20), "classification"),
        (np.arange(21), "regression"),
        (np.repeat(np.arange(30), 20), "classification"),
        (np.array([1, 2, 3]), "regression"),
        (np.array([0, 1, 3]), "regression"),
        (np.array([-1, 0, 1]), "regression"),
        (np.array([[0, 1], [1, 1]]), "multilabel"),
        (np.array([[0.0, 1.0], [1.0, 1.0]]), "multilabel"),
        (np.array([[0, 1], [1, 1]], bool), "multilabel"),
        (Y.astype(float), "regression"),
        (np.array([0.5, 1.5]), "regression"),
        (np.array([[0.5, 1.5], [0.0, 1.0]]), "regression"),
    ],
)
def test_kind(y, kind):
    found, why = kind_of(y)
    assert found == kind
    assert why


def test_whole_floats_are_told_how_to_be_classes():
    assert "the task classification takes them for classes" in kind_of(Y.astype(float))[1]
    assert "classification" not in kind_of(np.array([0.5, 1]))[1]


@pytest.mark.parametrize(
    ("y", "kind", "why"),
    [
        ([0, 7, 99], "classification", "the targets are integers from 0, 3 different ones in a sample of 3 examples"),
        ([-5, 7, 99], "regression", "3 different integers that do not begin at 0 in a sample of 3 examples"),
        (range(18, 91), "regression", "73 different integers that do not begin at 0 in a sample of 73 examples"),
        (range(0, 42, 2), "regression", "21 different integers in a sample of 21 examples"),
    ],
)
def test_integers_of_a_sample_are_classes_where_they_are_few_even_with_gaps(y, kind, why):
    found, said = kind_of(np.array(y), sampled=True)
    assert found == kind
    assert said.endswith(why)


def test_a_sample_of_many_classes_is_known_by_those_that_the_data_set_lists():
    y = np.arange(1, 99)
    assert kind_of(y, sampled=True, listed=100)[0] == "classification"
    assert kind_of(y, sampled=True, listed=98)[0] == "regression"


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_what_is_taken_for_a_kind_fits_it(values):
    y = np.array(values)
    kind, _ = kind_of(y)
    np.testing.assert_array_equal(convert(y, kind, "train"), y)


@pytest.mark.parametrize("dtype", ["u1", "u8", "f2", "f4", ">i4", "bool"])
def test_labels_become_int64(dtype):
    y = convert((Y % 2).astype(dtype), "classification", "train")
    assert y.dtype == np.int64
    assert y.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("y", "kind", "expected"),
    [
        (Y[:, None], "classification", Y),
        (Y[:, None], "regression", Y[:, None]),
        (np.tile(Y, (2, 4, 1)), "classification", np.tile(Y, (2, 4, 1))),
        (np.array(["dog", "cat", "dog"]), "classification", [1, 0, 1]),
        (np.array(["yes", "no"]), "binary", [1, 0]),
        (np.array([True, False]), "binary", [1, 0]),
        (EYE, "multilabel", EYE),
    ],
)
def test_conversion(y, kind, expected):
    found = convert(y, kind, "train")
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == (np.int64 if kind == "classification" else np.float32)


def test_strings_are_numbered_by_the_classes_of_all_parts():
    assert convert(np.array(["dog"]), "classification", "test", ("cat", "dog")).tolist() == [1]


@pytest.mark.parametrize(("dtype", "becomes"), [("u1", np.int64), ("i4", np.int64), ("f8", np.float32)])
def test_targets_of_a_loss_of_the_users_stay_integers_or_floats(dtype, becomes):
    assert convert(Y.astype(dtype), "other", "train").dtype == becomes


@pytest.mark.parametrize(
    ("y", "kind", "message"),
    [
        (np.array(list("abc")), "regression", "y of train holds strings, for example 'a', 'b', 'c', which are classes"),
        (np.array(list("abcd")), "binary", "has 4: 'a', 'b', 'c', …"),
        (
            np.array([0, 1, -2]),
            "classification",
            "from 0 to 65535, for .*; target 2 is -2; number the classes",
        ),
        (np.array([0, 65536, 1]), "classification", "target 1 is 65536"),
        (np.array([0, 1, 2**64 - 1], np.uint64), "classification", "target 2 is 18446744073709551615"),
        (np.array([0, 0.5, 1]), "classification", "target 1 is 0.5; such targets are a regression"),
        (np.array([[0, 1], [0, -7]]), "classification", r"target 1 at \(1,\) is -7"),
        (EYE, "classification", r"one-hot rows; give labels, y.argmax\(1\)"),
        (np.array([0, 1, np.nan]), "classification", "target 2 is nan"),
        (np.array([0, np.inf]), "regression", "y of train must be finite in float32, .*; target 1 is inf"),
        (np.array([[0, 1e39]]), "regression", r"target 0 at \(1,\) is 1e\+39"),
        (np.array([0, 2]), "binary", "y of train must be 0 or 1 for a binary task; target 1 is 2"),
        (
            np.array([[0, 1], [1, 0.5]]),
            "multilabel",
            r"0 or 1 for a multilabel task; target 1 at \(1,\) is 0.5",
        ),
        (np.array([0, 1]), "multilabel", r"must have a column for each label, \(N, K\), .*got shape \(2,\)"),
        (np.array(3), "regression", "got a single number"),
        (np.zeros(3, complex), "regression", "must be numbers or the names of classes; got complex128"),
    ],
)
def test_targets_that_do_not_fit_are_described(y, kind, message):
    with pytest.raises(DataError, match=message):
        convert(y, kind, "train")


def test_an_offset_that_rounds_differences_away_is_refused():
    y = 1e9 + np.arange(60.0)
    with pytest.raises(
        DataError, match=r"y of train varies by 17.3 around 1e\+09, and float32, .* apart by 119; subtract"
    ):
        convert(y, "regression", "train")
    assert np.ptp(convert(y - 1e9, "regression", "train")) == 59
    assert convert(1e4 + np.arange(60.0), "regression", "train").dtype == np.float32
