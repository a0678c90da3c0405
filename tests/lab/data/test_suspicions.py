from __future__ import annotations

import numpy as np
import pytest

from normwise.lab.data import suspicions
from normwise.lab.data.parts import Part

X = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
Y = np.arange(30) % 3


def of(train, test, kind="classification", **names):
    return suspicions.of((train, Part(train.X[:9] + 1, train.y[:9]), test), kind, **names)


def test_sound_data_are_passed_over():
    assert of(Part(X, Y), Part(X + 9, Y), classes=("a", "b", "c")) == ()


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (Part(X, Y), "test is equal to the training data: it says nothing about new examples"),
        (Part(np.r_[X[:5], X[:5] + 9], np.r_[Y[:5], Y[:5]]), "5 of 10 test examples are in the training data too"),
    ],
)
def test_test_examples_that_were_trained_on(test, message):
    assert of(Part(X, Y), test, classes=("a", "b", "c")) == (message,)


def test_a_class_only_in_the_test_part():
    found = of(Part(X, Y % 2), Part(X + 9, Y), classes=("a", "b", "c"))
    assert found == ("class c is in test and not in the training data: it cannot be learned",)


def test_labels_that_do_not_begin_at_zero():
    assert of(Part(X, Y + 1), Part(X + 9, Y + 1), classes="abcd") == (
        "class a has no example; labels are numbered from 0",
    )


def test_constant_features_by_name_and_by_number():
    constant = X.copy()
    constant[:, 1:3] = 5
    parts = Part(constant, Y), Part(X + 9, Y)
    assert of(*parts, classes=("a", "b", "c")) == ("features 1, 2 of X are constant in train",)
    assert "features b, c of X" in of(*parts, classes=("a", "b", "c"), features="abcd")[0]


def test_many_constant_features_are_counted():
    wide = np.zeros((30, 40), np.float32)
    wide[:, 0] = np.arange(30)
    assert of(Part(wide, Y), Part(wide + 9, Y), classes=("a", "b", "c")) == (
        "features 1, 2, 3, 4, 5, … (39) of X are constant in train",
    )


@pytest.mark.parametrize(("shape", "found"), [((30, 8, 8, 3), 1), ((30, 3, 8, 8), 0), ((30, 1, 8, 3), 0)])
def test_channels_that_come_last(shape, found):
    images = np.random.default_rng(0).normal(size=shape)
    notes = of(Part(images, Y), Part(images + 9, Y), classes=("a", "b", "c"))
    assert len(notes) == found
    assert all("the last axis looks like the channels" in note for note in notes)


def test_one_hot_rows_that_count_as_labels():
    rows = np.eye(3, dtype=np.float32)[Y]
    assert of(Part(X, rows), Part(X + 9, rows), "multilabel") == (
        "every row of y holds one 1: if these are one-hot rows, give labels, y.argmax(1)",
    )
