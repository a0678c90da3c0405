from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset

from normwise.errors import DataError
from normwise.lab.data import returned as structure

X = np.random.default_rng(0).normal(size=(30, 4))
Y = np.arange(30) % 3
DATASET = TensorDataset(torch.tensor(X), torch.tensor(Y))


class Stream(IterableDataset):
    def __iter__(self):
        return iter([(X[0], 0)])


@pytest.mark.parametrize(
    "part",
    [
        DATASET,
        Subset(DATASET, range(20)),
        [(row, 0) for row in X],
        DataLoader(DATASET, batch_size=5),
        ((X, X + 1), Y),
        ({"x": X, "mask": X > 0}, Y),
    ],
    ids=["TensorDataset", "Subset", "list of items", "DataLoader", "several inputs", "named inputs"],
)
def test_a_part_that_streams_may_be(part):
    assert structure.streams(structure.read((part, (X, Y)), "make_data")["train"])


@pytest.mark.parametrize(
    ("returned", "got"),
    [
        (None, "got NoneType"),
        (X, "got ndarray"),
        ({"train": (X, Y)}, "got dict"),
        (DataLoader(DATASET), "got DataLoader"),
        (((X, Y),), "got tuple of 1"),
        (((X, Y),) * 4, "got tuple of 4"),
        ((X, Y), "its train is a ndarray"),
        (((X, Y), torch.tensor(X)), "its test is a Tensor"),
        (((X, X, Y), (X, Y)), r"its train is a tuple of 3; several inputs are a pair .*: \(\(a, b\), y\)"),
        (((X, Y), None), "its test is a NoneType"),
        (((X, Y), Stream()), "its test is a Stream, which has no length; wrap it in a DataLoader"),
        (((X, Y), "ab"), "its test is a str"),
    ],
)
def test_another_structure_is_described(returned, got):
    with pytest.raises(DataError, match=rf"make_data must return \(train, test\) or .*{got}") as raised:
        structure.read(returned, "make_data")
    assert "\n" not in str(raised.value)
