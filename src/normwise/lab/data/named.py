"""Loading: the named data sets, tables and the user's own, all by one function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from normwise import errors
from normwise.errors import DataError
from normwise.lab import factory
from normwise.lab.data import cifar10, files, idx, memory, split, tables, user
from normwise.lab.data.given import Given
from normwise.lab.data.memory import Arrays
from normwise.lab.data.parts import Part

IMAGES = ("digits", "mnist", "fashion-mnist", "cifar10")
TABLES = ("diabetes", "breast-cancer", "wine", "iris")
NAMES = (*IMAGES, *TABLES)

VALIDATION = {"mnist": 1 / 12, "fashion-mnist": 1 / 12, "cifar10": 1 / 10}
"""The stratified share of the training part that becomes validation: 5000 examples of each."""

CLASSES = {
    "fashion-mnist": (
        *("T-shirt/top", "trouser", "pullover", "dress", "coat"),
        *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
    ),
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
}

MNIST = files.Files(
    folder="mnist",
    sha256={
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
)
FASHION_MNIST = files.Files(
    folder="fashion-mnist",
    sha256={
        "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
)
CIFAR10 = files.Files(
    folder="cifar10",
    sha256={
        "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
        "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
        "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
        "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
        "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
        "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
    },
    mirrors=("https://www.cs.toronto.edu/~kriz/",),
    archive=("cifar-10-binary.tar.gz", "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),
)


def load(
    source: str | Callable[[], Any],
    *,
    data_dir: str | Path | None = None,
    target: str | None = None,
    progress: bool = True,
) -> Given:
    """Reads a data set: into memory, unless it is a data set or a data loader of the user's, which streams.

    ``digits`` (8×8, values 0 … 16) and the tables ``diabetes`` (unscaled), ``breast-cancer``, ``wine`` and ``iris``
    come with scikit-learn. ``mnist``, ``fashion-mnist`` and ``cifar10`` are read from ``<data_dir>/mnist``,
    ``<data_dir>/fashion-mnist`` and ``<data_dir>/cifar10``, or downloaded where no data directory is given. What is not
    divided into parts gives a fifth to the test part; where there is no validation part, train gives a sixth
    (``VALIDATION`` of the image sets). The parts are the same every time.

    Args:
        source: one of ``NAMES``; a table, ``FILE.csv`` or ``FILE.parquet`` (see ``tables.read``); a ``make_data``
            function (see ``user.read_user`` for what it returns), or the name of one, ``package.module:callable`` or
            ``path/to/file.py:callable``.
        data_dir: the folder with the files of the named sets; None is the one that the variable NORMWISE_DATA names.
        target: the column of a table that is predicted, or several, separated by commas.
        progress: whether a download shows a progress bar on stderr.

    Raises:
        DataError: no such data set; a file is missing, truncated or corrupt; or the user's data do not fit together.
        RequestError: the user's function is missing, is not callable or raises.
    """
    if isinstance(source, str) and tables.looks_like(source):
        table = tables.read(source, target)
        parts = [(table.X, table.y)]
        return memory.read_arrays(source, parts, features=table.features, named=True)
    if target is not None:
        raise DataError(f"a target column, {target!r}, is for a table, FILE.csv or FILE.parquet; the data are {source}")
    if isinstance(source, str) and source in IMAGES:
        return _images(source, data_dir, progress)
    if isinstance(source, str) and source in TABLES:
        return _table(source)
    if isinstance(source, str) and not factory.looks_like(source):
        hint = (
            "or a table: FILE.csv or FILE.parquet, or a function of yours: package.module:callable or "
            "path/to/file.py:callable"
        )
        raise DataError(f"{errors.choice(source, NAMES, 'data set')}, {hint}")
    return user.read_user(source)


def _images(name: str, data_dir: str | Path | None, progress: bool) -> Given:
    read: dict[str, Callable[[], list[Arrays]]] = {
        "digits": _digits,
        "mnist": lambda: _arrays(idx.read(files.folder(MNIST, data_dir, progress))),
        "fashion-mnist": lambda: _arrays(idx.read(files.folder(FASHION_MNIST, data_dir, progress))),
        "cifar10": lambda: _arrays(cifar10.read(files.folder(CIFAR10, data_dir, progress))),
    }
    share = VALIDATION.get(name, split.VALIDATION)
    classes = CLASSES.get(name, tuple(map(str, range(10))))
    return memory.read_arrays(name, read[name](), validation=share, classes=classes, named=True, trusted=True)


def _arrays(parts: tuple[Part, Part]) -> list[Arrays]:
    return [(part.X, part.y) for part in parts]


def _digits() -> list[Arrays]:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return [(images.astype(np.uint8).reshape(-1, 1, 8, 8), labels.astype(np.int64))]


def _table(name: str) -> Given:
    from sklearn import datasets

    read = {
        "diabetes": lambda: datasets.load_diabetes(scaled=False),
        "breast-cancer": datasets.load_breast_cancer,
        "wine": datasets.load_wine,
        "iris": datasets.load_iris,
    }
    table = read[name]()
    classes = tuple(map(str, table.get("target_names", ())))
    features = tuple(map(str, table.feature_names))
    parts = [(table.data, table.target)]
    return memory.read_arrays(name, parts, classes=classes, features=features, named=True, trusted=True)
