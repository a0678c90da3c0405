from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from normwise.errors import DataError
from normwise.lab.data import checks
from normwise.lab.data.parts import Part


@pytest.mark.parametrize("shape", [(3,), (3, 5), (3, 5, 4), (3, 2, 5, 4), (3, 1, 2, 3, 4)])
def test_examples_keep_their_shape(shape):
    assert checks.examples(np.zeros(shape), "X of train").shape == shape


@pytest.mark.parametrize("dtype", ["u1", "i2", "i8", "f2", "f4", "f8"])
def test_examples_keep_their_type(dtype):
    assert checks.examples(np.ones((3, 5), dtype), "X of train").dtype == dtype


def test_bits_become_bytes():
    assert checks.examples(np.ones((3, 5), bool), "X of train").dtype == np.uint8


@pytest.mark.parametrize(
    "X",
    [
        np.asfortranarray(np.arange(15.0).reshape(3, 5)),
        np.arange(15.0).reshape(3, 5).astype(">f8"),
        np.frombuffer(np.arange(15.0).tobytes()).reshape(3, 5),
        np.arange(30.0).reshape(3, 10)[:, ::2] / 2,
    ],
    ids=["Fortran order", "big endian", "read-only", "strided"],
)
def test_arrays_are_fit_for_torch(X):
    """torch.from_numpy warns of read-only memory and refuses foreign byte order; a warning fails this suite."""
    examples = checks.examples(X, "X of train")
    assert torch.from_numpy(examples).is_contiguous()
    np.testing.assert_array_equal(examples, np.arange(15.0).reshape(3, 5))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.array(3.0), r"X of train is empty, of shape \(\)"),
        (np.zeros((0, 2)), r"X of train is empty, of shape \(0, 2\)"),
        (np.zeros((3, 0)), r"X of train is empty, of shape \(3, 0\)"),
        (np.full((3, 2), "a"), r"X of train must be numbers of shape \(N, …\); got <U1 of shape \(3, 2\)"),
        (np.zeros((3, 2), complex), "got complex128"),
    ],
)
def test_what_does_not_fit_is_described(X, message):
    with pytest.raises(DataError, match=message):
        checks.examples(X, "X of train")


@pytest.mark.parametrize(
    ("dtype", "value"),
    [*itertools.product(["f2", "f4", "f8"], [np.nan, np.inf, -np.inf]), ("f8", 1e39), ("f8", -1e39)],
)
def test_a_number_that_is_not_finite_is_named(dtype, value):
    X = np.zeros((3, 1, 2, 2), dtype)
    X[2, 0, 1, 0] = value
    with pytest.raises(DataError, match=r"X of train must be finite .*; the value at \(2, 0, 1, 0\) is"):
        checks.examples(X, "X of train")


def test_in_a_table_row_and_feature_are_named():
    X = np.zeros((3, 4))
    X[1, 3] = np.nan
    with pytest.raises(DataError, match="feature 3 of row 1 is nan"):
        checks.examples(X, "X of train")


@pytest.mark.parametrize(
    ("y", "message"), [(np.zeros(3), "4 examples, 3 targets"), (np.array(1), "4 examples, a single target")]
)
def test_examples_and_targets_belong_together(y, message):
    with pytest.raises(DataError, match=f"X and y of train do not belong together: {message}"):
        checks.belong_together(np.zeros((4, 2)), y, "train")


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ((np.zeros((3, 6)), np.zeros(3)), r"examples of different sizes: \(5,\) in train, \(6,\) in test"),
        ((np.zeros((3, 5)), np.zeros((3, 2))), r"targets of different sizes: \(\) in train, \(2,\) in test"),
    ],
)
def test_parts_of_different_sizes_are_named(test, message):
    with pytest.raises(DataError, match=f"the parts of mine have {message}"):
        checks.same_shape([("train", np.zeros((3, 5)), np.zeros(3)), ("test", *test)], "mine")


def learnable(kind, *targets, classes=()):
    dtype = np.int64 if kind == "classification" else np.float32
    parts = [Part(np.zeros((len(y), 2)), np.asarray(y, dtype)) for y in targets]
    checks.learnable(list(zip(("train", "validation", "test"), parts, strict=True)), kind, "mine", classes)


@pytest.mark.parametrize(
    ("kind", "targets", "message"),
    [
        ("classification", ([4, 4], [0, 1], [0, 1]), "train of mine has one class only, 4"),
        ("classification", ([-100, -100], [0, 1], [0, 1]), "train of mine has no label but -100"),
        ("binary", ([0, 1], [1, 1], [0, 1]), "validation of mine has one class only, 1"),
        ("regression", ([2.5, 2.5], [1, 2], [1, 2]), r"the target is constant in train of mine: 2\.5, in 2 examples"),
        ("regression", ([1, 2], [3], [1, 2]), "the target is constant in validation of mine: 3, in its one example"),
        ("regression", ([[1, 2], [1, 2]], [[1, 2], [2, 2]], [[1, 2]]), "the target is constant in train"),
        ("classification", ([0, 1, 2, 2], [0, 1], [0, 1, 2]), r"validation of mine has no example of class 2 \(2 in"),
        ("classification", ([0, 1, 2, 2], [0, 1, 2], [0, 1]), "test of mine has no example of class 2"),
    ],
)
def test_targets_that_cannot_be_learned_or_judged_are_refused(kind, targets, message):
    with pytest.raises(DataError, match=message):
        learnable(kind, *targets)


def test_a_lacking_class_is_called_by_its_name():
    with pytest.raises(DataError, match="test of mine has no example of class 'owl'"):
        learnable("classification", [0, 1, 2], [0, 1, 2], [0, 1], classes=("cat", "dog", "owl"))


def test_what_can_be_learned_passes():
    learnable("classification", [0, 1, -100], [0, 1], [1, 0, 2])
    learnable("classification", [[0, 2], [0, 1]], [[0, 1]], [[0, 1]])
    learnable("regression", [[1, 2], [1, 3]], [[1, 2], [1, 3]], [[1, 2], [1, 3]])
    learnable("other", [1, 1], [1], [1])
