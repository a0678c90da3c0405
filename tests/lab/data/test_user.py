from __future__ import annotations

import numpy as np
import pytest
import torch

from normwise.errors import DataError
from normwise.lab.data import load

X = np.random.default_rng(0).normal(size=(30, 4))
Y = np.arange(30) % 3


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


def test_names_of_classes_may_be_a_list_of_strings():
    names = ["ant", "bee", "cow"] * 10
    data = load(lambda: ((X, names), (X + 1, names))).finish("classification")
    assert data.classes == ("ant", "bee", "cow")


def test_three_parts_keep_their_order():
    data = load(lambda: ((X, Y), (X[:12], Y[:12]), (X[:15], Y[:15]))).finish("classification")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [30, 12, 15]


def test_sizes_between_parts_are_named():
    def make_data():
        return (X, Y), (X[:, :3], Y), (X, Y)

    with pytest.raises(DataError, match=r"have examples of different sizes: \(4,\) in train, \(3,\) in validation"):
        load(make_data)


def test_examples_of_different_sizes_are_told_of_loaders():
    def make_data():
        return ([X[0], X[1, :2]], Y[:2]), (X, Y)

    with pytest.raises(DataError, match=r"0 is \(4,\), example 1 is \(2,\); .* a DataLoader whose collate_fn pads"):
        load(make_data)
