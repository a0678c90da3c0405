from __future__ import annotations

import numpy as np
import pytest
import torch

from normwise.errors import DataError
from normwise.lab.data import arrays

VALUES = np.arange(12.0).reshape(3, 4)


@pytest.mark.parametrize(
    "given",
    [
        VALUES,
        VALUES.tolist(),
        tuple(VALUES),
        torch.tensor(VALUES),
        torch.tensor(VALUES, requires_grad=True),
        torch.tensor(VALUES, dtype=torch.bfloat16),
        [torch.tensor(row) for row in VALUES],
        np.array([None, *VALUES], dtype=object)[1:],
    ],
    ids=["array", "list", "tuple", "tensor", "tensor with gradient", "bfloat16", "list of tensors", "array of objects"],
)
def test_array_takes(given):
    np.testing.assert_array_equal(arrays.array(given, "X"), VALUES)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float16, torch.float32, torch.bool])
def test_array_keeps_the_type(dtype):
    assert arrays.array(torch.zeros(3, 2, dtype=dtype), "X").dtype == str(dtype).removeprefix("torch.")


@pytest.mark.parametrize("as_object", [False, True])
def test_different_sizes_are_named(as_object):
    images = [np.zeros((8, 8)), np.zeros((8, 8)), np.zeros((8, 9))]
    given = images
    if as_object:
        given = np.empty(3, dtype=object)
        given[:] = images
    with pytest.raises(DataError, match=r"different sizes: example 0 is \(8, 8\), example 2 is \(8, 9\)"):
        arrays.array(given, "X of train")


@pytest.mark.parametrize("given", [None, {"a": 1}, object(), {1, 2}])
def test_what_is_no_array_is_refused(given):
    with pytest.raises(DataError, match=f"X of train must be an array or a tensor; got {type(given).__name__}"):
        arrays.array(given, "X of train")


def test_a_ragged_example_is_named():
    with pytest.raises(DataError, match="example 1 in X of train cannot be made an array"):
        arrays.array([[[1, 2], [3, 4]], [[1, 2], [3]]], "X of train")


def test_an_empty_list_is_an_empty_array():
    assert arrays.array([], "X").shape == (0,)
