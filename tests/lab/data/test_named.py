from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from normwise.errors import DataError, RequestError
from normwise.lab.data import NAMES, load, named

MAKE_DATA = """
import numpy as np

def two_parts():
    X = np.arange(120.0).reshape(30, 4)
    return (X, np.arange(30) % 3), (X[:7] + 0.5, [0, 1, 2, 3, 4, 0, 1])

def three_parts():
    train, test = two_parts()
    return train, (train[0][:5] + 0.25, train[1][:5]), test

def grey():
    X = np.zeros((30, 5, 4), np.uint8)
    return (X, np.arange(30) % 3), (X[:7], np.arange(7) % 3)

def fails():
    raise KeyError("column")

answer = 42
"""


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "train.py"
    path.write_text(MAKE_DATA)
    return path


def finished(source, **options):
    given = load(source, **options)
    return given.finish(given.kind()[0])


def write_folder(folder: Path, source: named.files.Files) -> None:
    folder.mkdir(parents=True)
    for name in source.sha256:
        (folder / name).write_bytes(b"not what it should be")


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    data = finished("digits")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [1198, 240, 359]
    assert data.example_shape == (1, 8, 8)
    assert data.n_outputs == len(data.classes) == 10
    assert data.train.X.dtype == np.uint8
    images = np.concatenate([part.X.reshape(-1, 64) for part in (data.train, data.validation, data.test)])
    labels = np.concatenate([part.y for part in (data.train, data.validation, data.test)])
    theirs = load_digits()
    expected = np.c_[theirs.data, theirs.target].astype(int)
    assert sorted(map(tuple, np.c_[images, labels])) == sorted(map(tuple, expected))


def test_digits_are_stratified():
    data = finished("digits")
    for part in (data.train, data.validation, data.test):
        assert np.ptp(np.bincount(part.y) / len(part)) < 0.02


def test_digits_never_change():
    """Recorded results are about these parts."""
    assert finished("digits").fingerprint == finished("digits").fingerprint == "08f7b90753bd3b78"


@pytest.mark.parametrize(
    ("name", "sizes", "shape", "fingerprint"),
    [
        ("mnist", [55000, 5000, 10000], (1, 28, 28), "c4c8cb638dc97db5"),
        ("fashion-mnist", [55000, 5000, 10000], (1, 28, 28), "9cde79dc3c360bde"),
        ("cifar10", [45000, 5000, 10000], (3, 32, 32), "82c0fd2104a946bb"),
    ],
)
def test_the_real_sets(data_dir, name, sizes, shape, fingerprint):
    data = finished(name, data_dir=data_dir)
    assert [len(part) for part in (data.train, data.validation, data.test)] == sizes
    assert data.example_shape == shape
    assert data.train.X.dtype == np.uint8
    assert data.n_outputs == len(data.classes) == 10
    assert (np.bincount(data.test.y) > 800).all()
    assert data.fingerprint == fingerprint


@pytest.mark.parametrize("source", [named.MNIST, named.FASHION_MNIST, named.CIFAR10], ids=lambda source: source.folder)
def test_the_checksums_are_those_of_the_real_files(data_dir, source):
    for name, sha256 in source.sha256.items():
        assert hashlib.sha256((data_dir / source.folder / name).read_bytes()).hexdigest() == sha256


def test_real_labels_belong_to_their_images(data_dir):
    """The mean image of each class classifies the test part far better than chance, which shifted labels would not."""
    data = finished("mnist", data_dir=data_dir)
    means = np.stack([data.train.X[data.train.y == label].mean(axis=0).ravel() for label in range(10)])
    images = data.test.X.reshape(len(data.test), -1).astype(np.float64)
    distance = (means**2).sum(axis=1) - 2 * images @ means.T
    assert (distance.argmin(axis=1) == data.test.y).mean() > 0.8


@pytest.mark.parametrize("source", [named.MNIST, named.FASHION_MNIST, named.CIFAR10], ids=lambda source: source.folder)
def test_a_corrupt_file_of_a_data_directory_is_named(tmp_path, source):
    write_folder(tmp_path / source.folder, source)
    with pytest.raises(DataError, match=next(iter(source.sha256))):
        load(source.folder, data_dir=tmp_path)


@pytest.mark.parametrize("source", [named.MNIST, named.FASHION_MNIST, named.CIFAR10], ids=lambda source: source.folder)
def test_a_data_directory_without_the_files_says_which(tmp_path, source):
    with pytest.raises(DataError) as raised:
        load(source.folder, data_dir=tmp_path)
    for name in source.sha256:
        assert name in str(raised.value)
    assert str(tmp_path / source.folder) in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_two_parts_of_the_users_get_a_validation_part(file):
    data = finished(f"{file}:two_parts")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [25, 5, 7]
    assert data.name == f"{file}:two_parts"
    assert data.n_outputs == 5
    seen = np.concatenate([data.train.X, data.validation.X])
    assert sorted(seen[:, 0]) == list(range(0, 120, 4))


def test_three_parts_of_the_users_stay(file):
    data = finished(f"{file}:three_parts")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [30, 5, 7]


def test_the_users_examples_keep_their_shape(file):
    assert finished(f"{file}:grey").example_shape == (5, 4)


def test_a_function_may_be_handed_over():
    def make_data():
        return (np.eye(4), [0, 1, 0, 1]), (np.eye(4) + 1, [0, 1, 0, 1])

    data = finished(make_data)
    assert data.name.endswith("make_data")
    assert len(data.validation) == 2


def test_a_function_that_raises_is_named(file):
    with pytest.raises(RequestError, match=rf"fails raised KeyError: 'column' \({file}:17\)"):
        load(f"{file}:fails")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "mnits",
            r"unknown data set 'mnits'; did you mean 'mnist'.*Allowed: .*cifar10.* FILE\.csv .*a function of yours",
        ),
        ("train.py", "data function 'train.py' names no function; write package.module:callable"),
        ("", "unknown data set ''"),
    ],
)
def test_an_unknown_name_lists_the_known(source, message):
    with pytest.raises(RequestError, match=message):
        load(source)


def test_names_are_pinned():
    assert NAMES == ("digits", "mnist", "fashion-mnist", "cifar10", "diabetes", "breast-cancer", "wine", "iris")


@pytest.mark.parametrize(
    ("name", "kind", "sizes", "n_outputs", "classes", "fingerprint"),
    [
        ("diabetes", "regression", [295, 59, 88], 1, (), "1f0d360d9b817973"),
        ("breast-cancer", "classification", [379, 76, 114], 2, ("malignant", "benign"), "153d21b87bbe9eba"),
        ("wine", "classification", [118, 24, 36], 3, ("class_0", "class_1", "class_2"), "64cf25798c6b1e3c"),
        ("iris", "classification", [100, 20, 30], 3, ("setosa", "versicolor", "virginica"), "20da109d9360f1bd"),
    ],
)
def test_the_tables(name, kind, sizes, n_outputs, classes, fingerprint):
    """Recorded results are about these parts."""
    data = finished(name)
    assert data.kind == kind
    assert [len(part) for part in (data.train, data.validation, data.test)] == sizes
    assert data.n_outputs == n_outputs
    assert data.classes == classes
    assert data.fingerprint == fingerprint


def test_the_features_of_diabetes_are_not_scaled():
    assert finished("diabetes").train.X.max() > 100


def test_a_target_column_is_for_tables():
    with pytest.raises(DataError, match=r"a target column, 'price', is for a table, FILE\.csv or FILE\.parquet"):
        load("digits", target="price")


def test_importing_is_light():
    """Every worker imports this module, and the command line does before it shows anything."""
    heavy = ("torch", "sklearn", "pooch", "polars")
    code = f"import sys, normwise.lab.data; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
