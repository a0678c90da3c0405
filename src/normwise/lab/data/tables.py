"""Tables: a CSV or Parquet file and the columns of it that are predicted."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from normwise import errors
from normwise.errors import DataError

ENDINGS = (".csv", ".parquet")
SEPARATORS = ",;\t"

MISSING = ("na", "n/a", "nan", "null", "none", "-", "?")
"""What people write into a column of numbers where there is none."""

MOST_CATEGORIES = 100
"""A column of strings with more different values is not taken for categories: names, texts or identifiers."""


class Table(NamedTuple):
    """A table as a network takes it.

    Attributes:
        X: float64 (N, D).
        y: one column, in its own type, or several columns of numbers (N, K).
        features: the names of the columns of X.
    """

    X: np.ndarray
    y: np.ndarray
    features: tuple[str, ...]


def looks_like(source: str) -> bool:
    """Whether a source is meant to be a table."""
    return source.lower().endswith(ENDINGS)


def read(source: str, target: str | None) -> Table:
    """Reads a table.

    A column whose cells are numbers, or true and false, is one feature. A column of strings becomes a feature for each
    of its values, 1 where a row has that value and else 0; its values are those of the whole file. A column most of
    whose cells are numbers must have numbers only. No cell may be missing.

    Args:
        source: a CSV file (UTF-8, a header, separated by commas, semicolons or tabs) or a Parquet file.
        target: the column that is predicted, or several, separated by commas. All others are features.

    Raises:
        DataError: the file is missing, empty or not what its ending says; the target is not one of its columns; or a
            cell is missing or no number, named by row (the first below the header is 1) and column.
    """
    frame = _parquet(source) if source.lower().endswith(".parquet") else _csv(source)
    chosen, rows = _targets(source, target, frame.columns), frame.height
    if rows < 2:
        raise DataError(f"{source} has {rows} row{'' if rows == 1 else 's'} below its header; give more examples")
    y = _target(source, {name: _values(source, name, frame[name]) for name in chosen})
    encoded = [
        column
        for name in frame.columns
        if name not in chosen
        for column in _encode(source, name, _values(source, name, frame[name]))
    ]
    if not encoded:
        raise DataError(f"{source} has no column besides the target {target!r}; give features too")
    X = np.stack([values for _, values in encoded], axis=1)
    if (X.min(axis=0) == X.max(axis=0)).all():
        raise DataError(f"every feature of {source} is constant; there is nothing to tell its rows apart by")
    return Table(X, y, tuple(name for name, _ in encoded))


def _targets(source: str, target: str | None, columns: Sequence[str]) -> list[str]:
    has = f"{source} has the columns {', '.join(columns)}"
    if not target:
        raise DataError(f"which column of {source} is predicted? Give it: --target COLUMN; {has}")
    names = [target] if target in columns else [name.strip() for name in target.split(",")]
    for name in names:
        if name not in columns:
            near = difflib.get_close_matches(name, columns, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise DataError(f"{source} has no column {name!r} to predict; {hint}{has}")
    return names


def _target(source: str, values: dict[str, np.ndarray]) -> np.ndarray:
    if len(values) == 1:
        return next(iter(values.values()))
    for name, column in values.items():
        if column.dtype.kind == "U":
            raise DataError(f"the target column {name!r} of {source} holds strings; several targets must be numbers")
    return np.stack(list(values.values()), axis=1)


def _encode(source: str, name: str, values: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """The features of one column."""
    if values.dtype.kind != "U":
        return [(name, values.astype(np.float64))]
    categories = np.unique(values)
    if len(categories) > MOST_CATEGORIES:
        raise DataError(
            f"column {name!r} of {source} has {len(categories)} different strings in {len(values)} rows, more than the "
            f"{MOST_CATEGORIES} that are taken for categories; remove it, or turn it into numbers"
        )
    return [(f"{name}={category}", (values == category).astype(np.float64)) for category in categories]


def _values(source: str, name: str, column: Any) -> np.ndarray:
    """A column as bool, int64, float64 or strings."""
    column = column.cast(str).str.strip_chars().replace("", None) if _is_text(column) else column
    bad = column.is_null() | (~column.is_finite() if column.dtype.is_float() else False)
    if bad.any():
        row = bad.arg_max()
        what = "missing" if column[row] is None or column[row] != column[row] else column[row]
        raise DataError(
            f"row {row + 1}, column {name!r} of {source} is {what}; give a value, or remove the row or the column"
        )
    if column.dtype.is_numeric() or not _is_text(column):
        return np.asarray(column.cast(float) if column.dtype.is_decimal() else column)
    return _parsed(source, name, column)


def _is_text(column: Any) -> bool:
    return not (column.dtype.is_numeric() or column.dtype == bool)


def _parsed(source: str, name: str, column: Any) -> np.ndarray:
    """A column of strings as what they say."""
    if column.str.to_lowercase().is_in(["true", "false"]).all():
        return np.asarray(column.str.to_lowercase() == "true")
    if column.str.contains(r"^[+-]?\d{1,18}$").all():
        return np.asarray(column.cast(int))
    numbers = column.cast(float, strict=False)
    wrong = ~numbers.is_finite().fill_null(False)
    marked = column.str.to_lowercase().is_in(MISSING)
    if 2 * (wrong & ~marked).sum() >= (~marked).sum():
        return np.array(column.to_list(), dtype=np.str_)
    if wrong.any():
        row = wrong.arg_max()
        raise DataError(
            f"row {row + 1}, column {name!r} of {source} is {column[row]!r}, which is no number as most of the column "
            f"is; correct it, or remove the row"
        )
    return np.asarray(numbers)


def _csv(source: str) -> Any:
    """The columns of a CSV file as strings, null where a cell is empty."""
    polars = _polars(source)
    text = _text(source)
    header = text.partition("\n")[0]
    separator = max(SEPARATORS, key=header.count)
    names = [name.strip() for name in next(csv.reader(io.StringIO(text), delimiter=separator))]
    _check_header(source, names)
    try:
        frame = polars.read_csv(io.StringIO(text), separator=separator, infer_schema=False)
    except polars.exceptions.PolarsError as error:
        raise DataError(f"{source} cannot be read as a table: {errors.first_line(error)}") from error
    frame.columns = names
    return frame


def _check_header(source: str, names: Sequence[str]) -> None:
    for index, name in enumerate(names):
        if not name:
            raise DataError(f"column {index + 1} of {source} has no name; the first line must name every column")
        if name in names[:index]:
            raise DataError(f"{source} has two columns named {name!r}; give each its own name")


def _text(source: str) -> str:
    content = _bytes(source)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{source} is not UTF-8: line {line} has the byte 0x{content[error.start]:02x}; save it as UTF-8"
        ) from error
    if not text.strip():
        raise DataError(f"{source} is empty; give a header and rows")
    return text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\n")


def _bytes(source: str) -> bytes:
    try:
        return Path(source).expanduser().read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {source}: {error.strerror}; give a CSV or Parquet file") from error


def _parquet(source: str) -> Any:
    polars = _polars(source)
    content = _bytes(source)
    try:
        frame = polars.read_parquet(io.BytesIO(content))
    except polars.exceptions.PolarsError as error:
        raise DataError(f"{source} cannot be read as Parquet: {errors.first_line(error)}") from error
    if not frame.width:
        raise DataError(f"{source} is empty; give columns and rows")
    for name, kind in frame.schema.items():
        if not (kind.is_numeric() or kind in (polars.Boolean, polars.String, polars.Categorical, polars.Enum)):
            raise DataError(f"column {name!r} of {source} is of type {kind}; turn it into numbers or strings")
    return frame


def _polars(source: str) -> Any:
    try:
        import polars as pl
    except ImportError as error:
        raise DataError(f"reading {source} needs polars: pip install 'normwise[lab]'") from error
    return pl
