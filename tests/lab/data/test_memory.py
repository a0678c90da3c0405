from __future__ import annotations

import numpy as np
import pytest

from normwise.errors import DataError
from normwise.lab.data import memory

X = np.random.default_rng(0).normal(size=(30, 4))
LABELS = np.arange(30) % 3
FLOATS = np.linspace(-1, 1, 30)


@pytest.mark.parametrize(
    ("y", "kind", "n_outputs", "classes"),
    [
        (LABELS, "classification", 3, ("0", "1", "2")),
        (np.array(["a", "b", "c"])[LABELS], "classification", 3, ("a", "b", "c")),
        (np.tile(LABELS[:, None], 5), "classification", 3, ("0", "1", "2")),
        (LABELS % 2, "binary", 1, ()),
        (np.eye(3)[LABELS], "multilabel", 3, ()),
        (FLOATS, "regression", 1, ()),
        (np.stack([FLOATS, FLOATS**2], axis=1), "regression", 2, ()),
        (X.reshape(30, 1, 2, 2), "regression", 4, ()),
        (FLOATS, "other", 1, ()),
    ],
)
def test_a_task_says_how_many_outputs_it_asks_for(y, kind, n_outputs, classes):
    data = memory.read_arrays("mine", [(X, y)]).finish(kind)
    assert data.kind == kind
    assert data.n_outputs == n_outputs
    assert data.classes == classes
    assert [len(part) for part in (data.train, data.validation, data.test)] == [20, 4, 6]


@pytest.mark.parametrize(
    ("y", "kind"), [(LABELS, "classification"), (LABELS == 0, "binary"), (LABELS[:, None] == 0, "binary")]
)
def test_a_split_by_labels_is_stratified(y, kind):
    data = memory.read_arrays("mine", [(X, y)]).finish(kind)
    for part in (data.train, data.validation, data.test):
        counts = np.bincount(part.y.astype(int).ravel())
        expected = np.bincount(y.astype(int).ravel()) / len(y) * len(part)
        assert np.abs(counts - expected).max() < 1


def test_the_parts_of_a_whole_are_disjoint_and_the_same_every_time():
    one, two = (memory.read_arrays("mine", [(X, FLOATS)]).finish("regression") for _ in range(2))
    assert one.fingerprint == two.fingerprint
    rows = np.concatenate([part.X for part in (one.train, one.validation, one.test)])
    assert sorted(rows[:, 0]) == sorted(X[:, 0])


def test_the_kind_of_task_is_part_of_the_fingerprint():
    given = memory.read_arrays("mine", [(X, LABELS % 2)])
    assert given.finish("binary").fingerprint != given.finish("classification").fingerprint


def test_classes_of_all_parts_are_numbered_together():
    names = np.array(["b", "c"])[LABELS % 2]
    given = memory.read_arrays("mine", [(X, names), (X, np.where(LABELS == 0, "a", names))])
    assert given.classes == ("a", "b", "c")
    assert sorted(set(given.finish("classification").train.y)) == [1, 2]


def test_what_was_given_is_kept_until_the_kind_is_known():
    given = memory.read_arrays("mine", [(X, FLOATS)])
    assert given.targets is not None
    np.testing.assert_array_equal(given.targets, FLOATS)
    assert given.kind() == ("regression", "the targets are floats")
    with pytest.raises(DataError, match=r"y of mine must be classes, .* target 0 is -1\.0; such targets are a reg"):
        given.finish("classification")


def test_a_class_that_cannot_be_in_every_part_is_refused():
    y = LABELS.copy()
    y[0] = 3
    with pytest.raises(DataError, match=r"validation of mine has no example of class 3 \(1 in train\); give examples"):
        memory.read_arrays("mine", [(X, y)]).finish("classification")


def test_too_few_examples_are_refused_by_the_name_of_the_data():
    with pytest.raises(DataError, match="mine: 1 example is too few to take a test part off"):
        memory.read_arrays("mine", [(X[:1], FLOATS[:1])]).finish("regression")
