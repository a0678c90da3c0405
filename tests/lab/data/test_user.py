from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

from normwise.errors import DataError
from normwise.lab.data import user

X = np.arange(24.0).reshape(6, 4)
Y = np.array([0, 1, 2, 0, 1, 2])


class Squares(Dataset):
    """A map-style data set without a transform; ``broken`` says at which item something is wrong, and what."""

    def __init__(self, broken: tuple[int, object] | None = None) -> None:
        self.broken = broken

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index):
        if self.broken is not None and self.broken[0] == index:
            if isinstance(self.broken[1], Exception):
                raise self.broken[1]
            return self.broken[1]
        return torch.tensor(X[index]), int(Y[index])


class Stream(IterableDataset):
    def __iter__(self):
        return iter([(X[0], 0)])


@pytest.mark.parametrize(
    "part",
    [
        (X, Y),
        [X, Y],
        (torch.tensor(X), torch.tensor(Y)),
        (X.tolist(), Y.tolist()),
        Squares(),
        TensorDataset(torch.tensor(X), torch.tensor(Y)),
        Subset(Squares(), range(6)),
    ],
    ids=["arrays", "list", "tensors", "lists", "Dataset", "TensorDataset", "Subset"],
)
def test_a_part_may_be(part):
    train, test = user.parts((part, (X, Y)), "make_data")
    np.testing.assert_array_equal(train.X, X)
    np.testing.assert_array_equal(train.y, Y)
    np.testing.assert_array_equal(test.X, X)


def test_three_parts_keep_their_order():
    parts = user.parts(((X, Y), (X[:4], Y[:4]), (X[:5], Y[:5])), "make_data")
    assert [len(part) for part in parts] == [6, 4, 5]


@pytest.mark.parametrize(
    ("returned", "got"),
    [
        (None, "got NoneType"),
        (X, "got ndarray"),
        ({"train": (X, Y)}, "got dict"),
        (((X, Y),), "got tuple of 1"),
        (((X, Y),) * 4, "got tuple of 4"),
        ((X, Y), "its train is a ndarray"),
        (((X, Y), torch.tensor(X)), "its test is a Tensor"),
        (((X, Y, Y), (X, Y)), "its train is a tuple whose item 0 is a ndarray"),
        (((X, Y), None), "its test is a NoneType"),
        (((X, Y), Stream()), "its test is a Stream"),
        (((X, Y), "ab"), "its test is a str whose item 0 is a str"),
        ((Squares((3, X[3])), (X, Y)), "its train is a Squares whose item 3 is a ndarray"),
        ((Squares((3, OSError("no\nfile"))), (X, Y)), "item 3 cannot be read: OSError: no file"),
    ],
)
def test_another_structure_is_described(returned, got):
    with pytest.raises(DataError, match=rf"make_data must return \(train, test\) or .*{got}") as raised:
        user.parts(returned, "make_data")
    assert "\n" not in str(raised.value)


def test_sizes_within_a_dataset_are_named():
    broken = Squares((4, (torch.zeros(5), 0)))
    with pytest.raises(DataError, match=r"X of test of make_data .*example 0 is \(4,\), example 4 is \(5,\)"):
        user.parts(((X, Y), broken), "make_data")


def test_sizes_between_parts_are_named():
    with pytest.raises(DataError, match=r"parts of make_data .*\(4,\) in train, \(3,\) in validation"):
        user.parts(((X, Y), (X[:, :3], Y), (X, Y)), "make_data")


def test_labels_of_a_dataset_are_checked_too():
    with pytest.raises(DataError, match=r"y of train of make_data .*label 2 is -1"):
        user.parts((Squares((2, (torch.tensor(X[2]), torch.tensor(-1)))), (X, Y)), "make_data")


def test_an_empty_dataset_is_named():
    empty = TensorDataset(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long))
    with pytest.raises(DataError, match="test of make_data is empty"):
        user.parts(((X, Y), empty), "make_data")
