from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from normwise.errors import DataError
from normwise.lab.data import cifar10


def write(folder: Path, records: int = 12) -> dict[str, np.ndarray]:
    """A tiny set in CIFAR-10's layout; returns the records of each file."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    held = {}
    for name in cifar10.FILES:
        held[name] = random.integers(0, 256, (records, cifar10.RECORD)).astype(np.uint8)
        held[name][:, 0] = np.arange(records) % 10
        (folder / name).write_bytes(held[name].tobytes())
    return held


def test_read_gives_both_parts(tmp_path):
    held = write(tmp_path)
    train, test = cifar10.read(tmp_path)
    assert train.X.shape == (60, 3, 32, 32)
    assert test.X.shape == (12, 3, 32, 32)
    assert train.X.dtype == np.uint8
    third = held["data_batch_3.bin"][1]
    assert train.y[25] == third[0]
    # Pixel (row 4, column 7) of the green plane, by the layout's own description.
    assert train.X[25, 1, 4, 7] == third[1 + 1024 + 4 * 32 + 7]
    np.testing.assert_array_equal(test.y, held["test_batch.bin"][:, 0])


@pytest.mark.parametrize("kept", [0, 1, 3072, 3074, -1])
@pytest.mark.parametrize("name", ["data_batch_4.bin", "test_batch.bin"])
def test_a_truncated_file_is_named(tmp_path, name, kept):
    write(tmp_path)
    content = (tmp_path / name).read_bytes()[:kept]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name} is truncated or corrupt: {len(content)} bytes .* 30730000 bytes"):
        cifar10.read(tmp_path)


def test_a_file_cut_between_two_records_is_named(tmp_path):
    write(tmp_path)
    path = tmp_path / "data_batch_2.bin"
    path.write_bytes(path.read_bytes()[: 7 * cifar10.RECORD])
    with pytest.raises(DataError, match=r"data_batch_2\.bin is truncated: 7 records; the other files hold 12"):
        cifar10.read(tmp_path)


def test_a_label_out_of_range_is_named(tmp_path):
    held = write(tmp_path)["test_batch.bin"]
    held[5, 0] = 255
    (tmp_path / "test_batch.bin").write_bytes(held.tobytes())
    with pytest.raises(DataError, match=r"test_batch\.bin is corrupt: the label of record 5 is 255; expected 0 to 9"):
        cifar10.read(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    write(tmp_path)
    (tmp_path / "data_batch_5.bin").unlink()
    with pytest.raises(DataError, match=r"cannot read .*data_batch_5\.bin: No such file"):
        cifar10.read(tmp_path)
