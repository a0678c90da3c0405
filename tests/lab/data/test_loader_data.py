from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

from lab.data.streams import Noisy, Stream, padded
from normwise.errors import DataError
from normwise.lab.data import load, loader_data

X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
LABELS = np.arange(60) % 3
FLOATS = np.linspace(-1, 1, 60)


def given(*parts):
    return load(lambda: parts)


def finished(*parts, kind=None):
    read = given(*parts)
    return read.finish(kind or read.kind()[0])


def tensors(y, count=60):
    return TensorDataset(torch.tensor(X[:count]), torch.as_tensor(y)[:count])


class Table(Dataset):
    """Items of some arrays, with class names where they are given."""

    def __init__(self, y, classes=None):
        self.y = y
        if classes is not None:
            self.classes = classes

    def __len__(self):
        return len(self.y)

    def __getitem__(self, index):
        return X[index], self.y[index]


def test_data_say_what_they_are():
    read = given(Noisy(), Noisy(20, 50))
    assert (read.streams, read.named, read.own_batches) == (True, False, False)
    assert read.kind()[0] == "classification"
    data = read.finish("classification")
    assert data.n_outputs == 3
    assert data.classes == ("0", "1", "2")
    assert data.example_shape == (2,)
    assert data.batches_per_epoch(8) == 5


def test_a_loader_has_its_own_batches():
    loader = DataLoader(Noisy(), batch_size=10, collate_fn=padded)
    data = finished(loader, Noisy(9), Noisy(9), kind="classification")
    assert data.own_batches
    assert data.batches_per_epoch() == 5
    assert data.example_shape is None
    assert data.first(3).kwargs.keys() == {"x", "mask"}
    assert data.first(3).size == 3
    assert data.open(0).next().size == 10


def test_an_iterable_data_set_streams_too():
    data = finished(*[DataLoader(Stream(), batch_size=10)] * 3)
    assert data.batches_per_epoch() is None
    assert data.first(3).size == 10
    assert data.open(0).next().size == 10
    np.testing.assert_array_equal(data.targets("validation", 20), np.arange(20) % 3)


@pytest.mark.parametrize(
    ("y", "kind", "n_outputs", "dtype"),
    [
        (LABELS, "classification", 3, torch.int64),
        (LABELS.astype(np.int32)[:, None], "classification", 3, torch.int64),
        (LABELS.astype(float), "classification", 3, torch.int64),
        (LABELS % 2, "binary", 1, torch.float32),
        (np.eye(3)[LABELS].astype(int), "multilabel", 3, torch.float32),
        (FLOATS, "regression", 1, torch.float32),
        (X, "regression", 4, torch.float32),
        (LABELS, "other", 1, torch.int64),
    ],
)
def test_targets_fit_the_task(y, kind, n_outputs, dtype):
    data = finished(Table(y), Table(y), kind=kind)
    assert data.n_outputs == n_outputs
    target = data.open(0, batch_size=6).next().target
    assert target.dtype == dtype
    assert target.shape == ((6,) if kind == "classification" else (6, *y.shape[1:]))
    assert data.targets("test", 10).dtype == np.dtype(str(dtype).removeprefix("torch."))


@pytest.mark.parametrize(
    ("y", "kind", "message"),
    [
        (FLOATS, "classification", "y of train of .* must be classes, .*; such targets are a regression"),
        (LABELS, "binary", "y of train of .* must be 0 or 1 for a binary task"),
        (
            np.array(["cat", "dog"] * 30),
            "classification",
            "the targets of .* are strings, for example '(cat|dog)'; number the",
        ),
        (np.ones(60), "regression", r"the target is constant in train of .*: 1, in 50 examples; give"),
        (np.where(FLOATS > 0, np.nan, FLOATS), "regression", r"the target is nan at \(2,\) of a batch of train of"),
    ],
)
def test_targets_that_do_not_fit_are_described(y, kind, message):
    with pytest.raises(DataError, match=message):
        finished(Table(y), Table(y), kind=kind)


def test_classes_outside_of_the_sample_are_known_where_data_say_them():
    assert finished(Table(LABELS, classes=list("abcd")), Table(LABELS)).classes == tuple("abcd")
    assert finished(Subset(Table(LABELS, list("abcd")), range(30)), Table(LABELS)).n_outputs == 4
    rare = torch.zeros(5000, dtype=torch.int64)
    rare[-1] = 9
    rare[::2] = 1
    many = TensorDataset(torch.zeros(5000, 2), rare)
    assert finished(many, many, many, kind="classification").n_outputs == 10


def test_with_two_parts_validation_is_a_part_of_the_training_data():
    data = finished(Table(FLOATS), Table(FLOATS))
    over = data.open(0, batch_size=10)
    validation = torch.cat([batch.target for batch in over.whole("validation")])
    train = torch.cat([over.next().target for _ in range(5)])
    assert len(validation) == 10
    assert sorted(torch.cat([train, validation]).tolist()) == torch.tensor(FLOATS).float().tolist()


def test_several_inputs_in_memory():
    tuples = finished(((X, X[:, :2]), LABELS), ((X, X[:, :2]), LABELS))
    assert [tuple(value.shape) for value in tuples.open(0, batch_size=7).next().args] == [(7, 4), (7, 2)]
    named = finished(({"x": X, "mask": X > 0}, FLOATS), ({"x": X, "mask": X > 0}, FLOATS))
    batch = named.open(0, batch_size=7).next()
    torch.testing.assert_close(batch.kwargs["mask"], batch.kwargs["x"] > 0)
    assert batch.target.dtype == torch.float32


def test_the_fingerprint_of_inputs_in_memory_sees_every_value():
    X = torch.zeros(1000, 2)
    changed = X.clone()
    changed[777, 1] = 1
    y = np.arange(1000) % 3

    def make_data(X):
        return load(lambda: (((X, X), y), ((X, X), y))).finish("classification").fingerprint

    assert make_data(X) == make_data(X.clone()) != make_data(changed)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([DataLoader(Stream()), DataLoader(Stream())], "is only read from first to last, so no validation .* return"),
        ([DataLoader([]), tensors(LABELS)], "train of .* has 0 examples, too few to take a validation"),
        ([tensors(LABELS), tensors(LABELS), DataLoader([])], "test of .* yields no batch: 0 examples in batches"),
        ([*[tensors(LABELS)] * 2, DataLoader(Stream(0))], "test of .* yields no batch; an iterable data set must"),
        ([(({"x": X[:5]}, LABELS)), tensors(LABELS)], r"X\['x'\] and y of train of .* do not belong together: shapes"),
        ([(({"x": np.where(X > 0, X, np.nan)}, LABELS)), tensors(LABELS)], r"X\['x'\] of train .* must be finite"),
        ([(({"target": X}, LABELS)), tensors(LABELS)], "has the key 'target', which is that of y"),
    ],
)
def test_what_cannot_be_read_is_described(parts, message):
    with pytest.raises(DataError, match=message):
        given(*parts)


def test_a_data_set_that_draws_from_a_generator_of_its_own_is_noted():
    class Own(Noisy):
        generator = np.random.default_rng(0)

        def __getitem__(self, index):
            return self.generator.random(2), index % 3

    assert "is different each time it is read, so no result can be repeated" in finished(Own(), Noisy()).notes[0]


def test_test_items_that_are_trained_on_are_noted():
    same = Noisy()
    assert "50 of 50 test examples are in the training data too" in finished(same, Noisy(), same).notes


MAKE_DATA = """
import os
import torch
from torch.utils.data import DataLoader, TensorDataset

def make_data():
    dataset = TensorDataset(torch.arange(60.0)[:, None], torch.arange(60) % SCALE)
    dataset.process = os.getpid()
    return DataLoader(dataset, batch_size=12, shuffle=True), dataset

def wider():
    train, test = make_data()
    return DataLoader(train.dataset, batch_size=20), test
"""


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "net.py"
    path.write_text(MAKE_DATA.replace("SCALE", "3"))
    return path


def test_it_pickles_as_the_name_of_its_function(file):
    data = load(f"{file}:make_data").finish("classification")
    written = pickle.dumps(data)
    assert len(written) < 1000
    copy = pickle.loads(written)
    assert copy.fingerprint == data.fingerprint
    expected, found = (each.open(3).next() for each in (data, copy))
    torch.testing.assert_close(found.args[0], expected.args[0], rtol=0, atol=0)
    file.write_text(MAKE_DATA.replace("SCALE", "4"))
    with pytest.raises(DataError, match=r"the source of .*make_data changed while the study ran; run the same command"):
        pickle.loads(written).open(3)


def test_another_process_reads_the_data_anew(file, monkeypatch):
    """What is open, files for one, is not shared between processes that were forked."""
    data = load(f"{file}:make_data").finish("classification")
    before = data._read()["train"]
    assert data._read()["train"] is before
    monkeypatch.setattr(loader_data.os, "getpid", lambda: -1)
    assert data._read()["train"] is not before


def test_the_fingerprint_follows_source_content_batches_and_task(file):
    def fingerprint(name="make_data", kind="classification"):
        return load(f"{file}:{name}").finish(kind).fingerprint

    first = fingerprint()
    assert fingerprint() == first
    others = {fingerprint("wider"), fingerprint(kind="regression")}
    file.write_text(MAKE_DATA.replace("SCALE", "4"))
    others.add(fingerprint())
    assert len(others | {first}) == 4
