"""The idx format of MNIST and Fashion-MNIST: http://yann.lecun.com/exdb/mnist (section "File formats").

4 bytes             0, 0, 8 for unsigned bytes, the number of dimensions
4 bytes a dimension its size, most significant byte first
the rest            the values, last dimension fastest
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from normwise.errors import DataError
from normwise.lab.data.parts import Part

FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
CLASSES = 10


def read(folder: Path) -> tuple[Part, Part]:
    """Reads the four files of ``FILES``.

    Returns:
        The training and the test part, X (N, 1, H, W) uint8.

    Raises:
        DataError: a file is truncated or corrupt, or images and labels do not belong together; it names the file.
    """
    return _part(folder / FILES[0], folder / FILES[1]), _part(folder / FILES[2], folder / FILES[3])


def _part(images: Path, labels: Path) -> Part:
    X, y = read_array(images, 3), read_array(labels, 1)
    if len(X) != len(y):
        raise DataError(f"{images} holds {len(X)} images, but {labels.name} beside it holds {len(y)} labels")
    if y.size and y.max() >= CLASSES:
        at = int(np.argmax(y >= CLASSES))
        raise DataError(f"{labels} is corrupt: label {at} is {y[at]}; expected 0 to {CLASSES - 1}")
    return Part(X[:, None], y.astype(np.int64))


def read_array(path: Path, dimensions: int) -> np.ndarray:
    """Reads one gzipped idx file of unsigned bytes.

    Args:
        path: the file.
        dimensions: how many it should have.

    Returns:
        A writable uint8 array.

    Raises:
        DataError: bad gzip, wrong magic number, or more or fewer bytes than the header announces.
    """
    content = _unzip(path)
    start, magic = 4 + 4 * dimensions, 0x0800 + dimensions
    if len(content) < start:
        raise DataError(f"{path} is truncated: {len(content)} bytes unzipped; the header alone has {start}")
    if (found := int.from_bytes(content[:4], "big")) != magic:
        raise DataError(f"{path} is not the idx file it should be: magic number {found}, expected {magic}")
    shape = [int(size) for size in np.frombuffer(content, ">u4", dimensions, offset=4)]
    if len(content) - start != math.prod(shape):
        raise DataError(
            f"{path} is truncated or corrupt: its header announces {'×'.join(map(str, shape))} = {math.prod(shape)} "
            f"bytes, {len(content) - start} follow"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _unzip(path: Path) -> bytearray:
    try:
        return bytearray(gzip.decompress(path.read_bytes()))
    except EOFError as error:
        raise DataError(f"{path} is truncated: the gzip stream ends too early; copy the file again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is not a valid gzip file ({error}); copy the file again") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
