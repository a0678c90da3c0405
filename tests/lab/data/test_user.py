from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset

from normwise.errors import DataError
from normwise.lab.data import load
from normwise.lab.data import returned as structure

X = np.random.default_rng(0).normal(size=(30, 4))
Y = np.arange(30) % 3
DATASET = TensorDataset(torch.tensor(X), torch.tensor(Y))


class Stream(IterableDataset):
    def __iter__(self):
        return iter([(X[0], 0)])


@pytest.mark.parametrize(
    "part",
    [(X, Y), [X, Y], (torch.tensor(X), torch.tensor(Y)), (X.tolist(), Y.tolist()), (tuple(X), Y)],
    ids=["arrays", "list", "tensors", "lists", "tuple of examples"],
)
def test_a_part_in_memory_may_be(part):
    given = load(lambda: (part, (X, Y), (X, Y)))
    assert not given.streams
    assert not given.named
    data = given.finish("classification")
    np.testing.assert_array_equal(data.train.X, X)
    np.testing.assert_array_equal(data.train.y, Y)


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


def test_three_parts_keep_their_order():
    data = load(lambda: ((X, Y), (X[:12], Y[:12]), (X[:15], Y[:15]))).finish("classification")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [30, 12, 15]


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


def test_sizes_between_parts_are_named():
    def make_data():
        return (X, Y), (X[:, :3], Y), (X, Y)

    with pytest.raises(DataError, match=r"have examples of different sizes: \(4,\) in train, \(3,\) in validation"):
        load(make_data)
