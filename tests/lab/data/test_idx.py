from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from normwise.errors import DataError
from normwise.lab.data import idx


def encode(values: np.ndarray) -> bytes:
    header = struct.pack(f">I{values.ndim}I", 0x0800 + values.ndim, *values.shape)
    return header + values.astype(np.uint8).tobytes()


def write(folder: Path, train: int = 24, test: int = 8, size: tuple[int, int] = (5, 4)) -> dict[str, np.ndarray]:
    """A tiny set in MNIST's format; returns what each file holds."""
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (count, *size)) for count in (train, test)]
    labels = [np.arange(count) % 10 for count in (train, test)]
    held = dict(zip(idx.FILES, (images[0], labels[0], images[1], labels[1]), strict=True))
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in held.items():
        (folder / name).write_bytes(gzip.compress(encode(values)))
    return held


def test_read_gives_both_parts(tmp_path):
    held = write(tmp_path)
    train, test = idx.read(tmp_path)
    assert train.X.dtype == np.uint8
    assert train.y.dtype == np.int64
    np.testing.assert_array_equal(train.X[:, 0], held[idx.FILES[0]])
    np.testing.assert_array_equal(train.y, held[idx.FILES[1]])
    np.testing.assert_array_equal(test.X[:, 0], held[idx.FILES[2]])
    np.testing.assert_array_equal(test.y, held[idx.FILES[3]])
    assert train.X.flags.writeable


@pytest.mark.parametrize("name", idx.FILES)
@pytest.mark.parametrize("kept", [0, 1, 9, 0.5, -1], ids=["empty", "1 byte", "9 bytes", "half", "all but one byte"])
def test_a_truncated_gzip_file_is_named(tmp_path, name, kept):
    write(tmp_path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * kept) if isinstance(kept, float) else kept])
    with pytest.raises(DataError, match=name):
        idx.read(tmp_path)


@pytest.mark.parametrize("name", idx.FILES)
def test_every_flipped_byte_is_found(tmp_path, name):
    """gzip's own header has bytes without meaning (time, system, flags of the compressor): bytes 4 to 9."""
    write(tmp_path)
    content = (tmp_path / name).read_bytes()
    for at in (0, 1, 2, *range(10, len(content), 7), len(content) - 1):
        (tmp_path / name).write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])
        with pytest.raises(DataError, match=name):
            idx.read(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\0\0\x08", "is truncated: 3 bytes unzipped; the header alone has 16"),
        (encode(np.zeros(40)), "magic number 2049, expected 2051"),
        (encode(np.zeros((3, 2, 2)))[:-1], "its header announces 3×2×2 = 12 bytes, 11 follow"),
        (encode(np.zeros((3, 2, 2))) + b"\0", "its header announces 3×2×2 = 12 bytes, 13 follow"),
        (struct.pack(">4I", 2051, 2**31, 2**31, 2**31), r"= 9903520314283042199192993792 bytes, 0 follow"),
    ],
    ids=["short header", "wrong magic", "short", "long", "overflow"],
)
def test_a_wrong_content_is_described(tmp_path, content, message):
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(DataError, match=message) as raised:
        idx.read_array(path, 3)
    assert str(path) in str(raised.value)


def test_a_file_that_is_not_gzip_is_refused(tmp_path):
    path = tmp_path / "images.gz"
    path.write_bytes(encode(np.zeros((3, 2, 2))))
    with pytest.raises(DataError, match=r"images\.gz is not a valid gzip file"):
        idx.read_array(path, 3)


def test_a_missing_file_is_named(tmp_path):
    write(tmp_path)
    (tmp_path / idx.FILES[2]).unlink()
    with pytest.raises(DataError, match=f"cannot read .*{idx.FILES[2]}: No such file"):
        idx.read(tmp_path)


def test_a_label_out_of_range_is_named(tmp_path):
    write(tmp_path)
    labels = np.arange(24) % 10
    labels[17] = 10
    (tmp_path / idx.FILES[1]).write_bytes(gzip.compress(encode(labels)))
    with pytest.raises(DataError, match=rf"{idx.FILES[1]} is corrupt: label 17 is 10; expected 0 to 9"):
        idx.read(tmp_path)


def test_images_and_labels_must_belong_together(tmp_path):
    write(tmp_path)
    (tmp_path / idx.FILES[3]).write_bytes(gzip.compress(encode(np.zeros(7))))
    with pytest.raises(DataError, match=rf"{idx.FILES[2]} holds 8 images, but {idx.FILES[3]} .* 7 labels"):
        idx.read(tmp_path)
