from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from normwise.errors import DataError
from normwise.lab.data import checks
from normwise.lab.data.parts import Part

Y = np.array([0, 1, 2])


@pytest.mark.parametrize(
    ("shape", "becomes"), [((3, 5), (3, 5)), ((3, 5, 4), (3, 1, 5, 4)), ((3, 2, 5, 4), (3, 2, 5, 4))]
)
def test_axes(shape, becomes):
    assert checks.part(np.zeros(shape), Y, "train").X.shape == becomes


@pytest.mark.parametrize("dtype", ["u1", "i2", "i8", "f2", "f4", "f8"])
def test_examples_keep_their_type(dtype):
    assert checks.part(np.ones((3, 5), dtype), Y, "train").X.dtype == dtype


def test_bits_become_bytes():
    assert checks.part(np.ones((3, 5), bool), Y, "train").X.dtype == np.uint8


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
    part = checks.part(X, Y, "train")
    assert torch.from_numpy(part.X).is_contiguous()
    np.testing.assert_array_equal(part.X, np.arange(15.0).reshape(3, 5))


@pytest.mark.parametrize(
    "y", [Y, Y.astype(np.uint8), Y.astype(np.uint64), Y.astype(np.float16), Y.astype(np.float32), Y.astype(">i4")]
)
def test_labels_become_int64(y):
    part = checks.part(np.zeros((3, 5)), y, "train")
    assert part.y.dtype == np.int64
    assert part.y.tolist() == [0, 1, 2]


def test_truth_values_are_labels():
    assert checks.part(np.zeros((3, 5)), Y > 0, "train").y.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.zeros(3), Y, r"X of train must be numbers of shape .*got float64 of shape \(3,\)"),
        (np.zeros((3, 1, 1, 1, 1)), Y, r"got float64 of shape \(3, 1, 1, 1, 1\)"),
        (np.full((3, 2), "a"), Y, r"got <U1 of shape \(3, 2\)"),
        (np.zeros((3, 2), complex), Y, "got complex128"),
        (np.zeros((4, 2)), Y, "X and y of train do not belong together: 4 examples, 3 labels"),
        (np.zeros((0, 2)), Y[:0], r"train is empty: X has shape \(0, 2\)"),
        (np.zeros((3, 0)), Y, r"train is empty: X has shape \(3, 0\)"),
        (np.zeros((3, 2)), Y[:, None], r"y of train must have one label an example, .*got shape \(3, 1\)$"),
        (np.zeros((3, 2)), np.eye(3), r"got shape \(3, 3\); turn one-hot rows into labels by y.argmax\(1\)"),
        (np.zeros((3, 2)), np.array(list("abc")), "y of train must be integers from 0; got <U1; number the classes"),
        (np.zeros((3, 2)), np.array([0, 1, -2]), "integers from 0 to 65535; label 2 is -2; number the"),
        (np.zeros((3, 2)), np.array([0, 65536, 1]), "label 1 is 65536"),
        (np.zeros((3, 2)), np.array([0, 1, 2**64 - 1], np.uint64), "label 2 is 18446744073709551615"),
        (np.zeros((3, 2)), np.array([0, 0.5, 1]), "label 1 is 0.5"),
        (np.zeros((3, 2)), np.array([0, 1, np.nan]), "label 2 is nan"),
        (np.zeros((3, 2)), np.array([np.inf, 1, 0]), "label 0 is inf"),
    ],
)
def test_what_does_not_fit_is_described(X, y, message):
    with pytest.raises(DataError, match=message):
        checks.part(X, y, "train")


@pytest.mark.parametrize(
    ("dtype", "value"),
    [*itertools.product(["f2", "f4", "f8"], [np.nan, np.inf, -np.inf]), ("f8", 1e39), ("f8", -1e39)],
)
def test_a_number_that_is_not_finite_is_named(dtype, value):
    X = np.zeros((3, 1, 2, 2), dtype)
    X[2, 0, 1, 0] = value
    with pytest.raises(DataError, match=r"X of train must be finite .*value at \(2, 0, 1, 0\) is"):
        checks.part(X, Y, "train")


def test_parts_of_different_sizes_are_named():
    with pytest.raises(DataError, match=r"parts of mine have examples of .*: \(5,\) in train, \(6,\) in test"):
        checks.fitting((("train", Part(np.zeros((3, 5)), Y)), ("test", Part(np.zeros((3, 6)), Y))), "mine")


def test_one_class_is_refused():
    with pytest.raises(DataError, match="train of mine has one class only, 4"):
        checks.fitting((("train", Part(np.zeros((3, 5)), np.full(3, 4))),), "mine")
