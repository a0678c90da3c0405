"""The binary layout of CIFAR-10: https://www.cs.toronto.edu/~kriz/cifar.html (section "Binary version").

Each file holds records of 3073 bytes: the label, then 3 × 32 × 32 pixels, the red, the green and the blue plane, row by
row.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from normwise.errors import DataError
from normwise.lab.data.parts import Part

FILES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")
CLASSES = 10
IMAGE = (3, 32, 32)
RECORD = 1 + 3 * 32 * 32


def read(folder: Path) -> tuple[Part, Part]:
    """Reads the six files of ``FILES``.

    The official files hold 10 000 records each. A smaller set is read too, provided that all six hold equally many, so
    that a file cut off between two records is still found.

    Returns:
        The training and the test part, X (N, 3, 32, 32) uint8.

    Raises:
        DataError: a file is truncated or corrupt; it names the file.
    """
    records = [read_records(folder / name) for name in FILES]
    most = max(map(len, records))
    for name, rows in zip(FILES, records, strict=True):
        if len(rows) != most:
            raise DataError(f"{folder / name} is truncated: {len(rows)} records; the other files hold {most}")
    return _part(np.concatenate(records[:-1])), _part(records[-1])


def _part(records: np.ndarray) -> Part:
    images = np.ascontiguousarray(records[:, 1:])
    return Part(images.reshape(-1, *IMAGE), records[:, 0].astype(np.int64))


def read_records(path: Path) -> np.ndarray:
    """Reads one file.

    Returns:
        (records, 3073) uint8; the first column is the label.

    Raises:
        DataError: not a whole number of records, no record, or a label above 9.
    """
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    if content.size == 0 or content.size % RECORD:
        raise DataError(
            f"{path} is truncated or corrupt: {content.size} bytes are not a whole number of records of {RECORD} bytes "
            f"(the official file has 10000 records, {10000 * RECORD} bytes)"
        )
    records = content.reshape(-1, RECORD)
    if (labels := records[:, 0]).max() >= CLASSES:
        at = int(np.argmax(labels >= CLASSES))
        raise DataError(f"{path} is corrupt: the label of record {at} is {labels[at]}; expected 0 to {CLASSES - 1}")
    return records
