from __future__ import annotations

import sys

import numpy as np
import polars as pl
import pytest

from normwise.errors import DataError
from normwise.lab.data import load, tables

HOUSES = """price,area,rooms,garden,town
310.5,80,3,true,Ulm
250,60.5,2,FALSE,Bonn
420,120,5,true,Ulm
180,40,1,false,"Köln, West"
"""


@pytest.fixture
def table(tmp_path):
    def write(content, name="houses.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


def test_numbers_truth_values_and_categories_become_features(table):
    found = tables.read(table(HOUSES), "price")
    assert found.features == ("area", "rooms", "garden", "town=Bonn", "town=Köln, West", "town=Ulm")
    expected = [[80, 3, 1, 0, 0, 1], [60.5, 2, 0, 1, 0, 0], [120, 5, 1, 0, 0, 1], [40, 1, 0, 0, 1, 0]]
    np.testing.assert_array_equal(found.X, expected)
    np.testing.assert_array_equal(found.y, [310.5, 250, 420, 180])


@pytest.mark.parametrize(
    ("target", "y", "dtype"),
    [
        ("rooms", [3, 2, 5, 1], "i"),
        ("garden", [True, False, True, False], "b"),
        ("town", ["Ulm", "Bonn", "Ulm", "Köln, West"], "U"),
        ("price, rooms", [[310.5, 3], [250, 2], [420, 5], [180, 1]], "f"),
    ],
)
def test_a_target_keeps_its_type(table, target, y, dtype):
    found = tables.read(table(HOUSES), target)
    assert found.y.dtype.kind == dtype
    assert found.y.tolist() == y
    assert not {name.partition("=")[0] for name in found.features} & set(target.split(", "))


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_line_ends_and_marks(table, separator):
    text = "\ufeff" + HOUSES.replace('"Köln, West"', "Köln").replace(",", separator).replace("\n", "\r\n")
    assert tables.read(table(text), "price").features[0] == "area"


@pytest.mark.parametrize("end", ["\r", "\r\n"])
def test_line_ends_of_other_systems_and_blank_lines_before_the_header(table, end):
    expected = tables.read(table(HOUSES), "price")
    found = tables.read(table((2 * "\n" + HOUSES).replace("\n", end), "other.csv"), "price")
    assert found.features == expected.features
    np.testing.assert_array_equal(found.X, expected.X)


def test_parquet_gives_what_csv_gives(tmp_path, table):
    from_csv = tables.read(table(HOUSES), "price")
    frame = pl.DataFrame(
        {
            "price": [310.5, 250, 420, 180],
            "area": pl.Series([80, 60.5, 120, 40], dtype=pl.Float32),
            "rooms": [3, 2, 5, 1],
            "garden": [True, False, True, False],
            "town": pl.Series(["Ulm", "Bonn", "Ulm", "Köln, West"], dtype=pl.Categorical),
        }
    )
    frame.write_parquet(tmp_path / "houses.parquet")
    from_parquet = tables.read(str(tmp_path / "houses.parquet"), "price")
    assert from_parquet.features == from_csv.features
    np.testing.assert_array_equal(from_parquet.X, from_csv.X)
    np.testing.assert_array_equal(from_parquet.y, from_csv.y)


def test_a_name_with_a_comma_is_a_column(table):
    assert tables.read(table('"a,b",c\n1,2\n3,4\n'), "a,b").y.tolist() == [1, 3]


@pytest.mark.parametrize(
    ("content", "target", "message"),
    [
        (
            HOUSES,
            None,
            r"which column of .*houses.csv is predicted\? .*: --target COLUMN; .* has the columns price, area",
        ),
        (HOUSES, "prize", "has no column 'prize' to predict; did you mean 'price'\\? .* has the columns price, area"),
        (HOUSES, "price, rom", "has no column 'rom' to predict"),
        (HOUSES, "price,town", "the target column 'town' of .* holds strings; several targets must be numbers"),
        (HOUSES.replace("60.5", ""), "price", "row 2, column 'area' of .* is missing; give a value, or remove"),
        (HOUSES.replace("60.5", "  "), "price", "row 2, column 'area' of .* is missing"),
        (HOUSES.replace("60.5", "n/a"), "price", "row 2, column 'area' of .* is 'n/a', which is no number as most of"),
        ("y,a\n1,NA\n2,?\n3,NaN\n4,0.5\n", "y", "row 1, column 'a' of .* is 'NA', which is no number"),
        (HOUSES.replace("60.5", "inf"), "price", "row 2, column 'area' of .* is 'inf', which is no number"),
        (HOUSES.replace("Bonn", ""), "price", "row 2, column 'town' of .* is missing"),
        (HOUSES.replace("rooms", "area"), "price", "has two columns named 'area'; give each its own name"),
        (HOUSES.replace("rooms", " "), "price", "column 3 of .* has no name"),
        (HOUSES.encode("latin-1"), "price", "is not UTF-8: line 5 has the byte 0xf6; save it as UTF-8"),
        ("", "price", "houses.csv is empty; give a header and rows"),
        ("price,area\n", "price", "has 0 rows below its header; give more examples"),
        ("price,area\n1,2\n", "price", "has 1 row below its header"),
        ("price\n1\n2\n", "price", "has no column besides the target 'price'"),
        ("price,a,b\n1,2,3\n2,2,3\n", "price", "every feature of .* is constant"),
        ("price,a\n1,2\n2,3,4\n", "price", "cannot be read as a table: "),
        (
            "price,a\n" + "".join(f"1,name {n}\n" for n in range(101)),
            "price",
            "column 'a' .* 101 different strings in 101",
        ),
    ],
)
def test_what_is_wrong_is_named(table, content, target, message):
    with pytest.raises(DataError, match=message) as raised:
        tables.read(table(content), target)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pl.Series([1.0, None, 2.0]), "row 2, column 'a' of .* is missing"),
        (pl.Series([1.0, 2.0, float("nan")]), "row 3, column 'a' of .* is missing"),
        (pl.Series([1.0, 2.0, float("inf")]), "row 3, column 'a' of .* is inf"),
        (pl.Series(["2020-01-01"] * 3).str.to_date(), "column 'a' of .* is of type Date; turn it into numbers"),
    ],
)
def test_what_is_wrong_in_parquet_is_named(tmp_path, column, message):
    pl.DataFrame({"y": [1, 2, 3], "a": column}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=message):
        tables.read(str(tmp_path / "t.parquet"), "y")


def test_a_file_that_is_no_parquet_is_named(table):
    with pytest.raises(DataError, match=r"houses.parquet cannot be read as Parquet: "):
        tables.read(table(HOUSES, "houses.parquet"), "price")


def test_a_missing_file_is_named():
    with pytest.raises(DataError, match=r"cannot read nowhere\.csv: No such file or directory"):
        tables.read("nowhere.csv", "price")


def test_without_polars_it_says_what_to_install(table, monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(DataError, match=r"needs polars: pip install 'normwise\[lab\]'"):
        tables.read(table(HOUSES), "price")


def test_a_table_is_named_data_with_a_fingerprint_of_its_content(table):
    rows = "\n".join(f"{n % 7},{n},{n * n % 11}" for n in range(40))
    first = load(table(f"price,a,b\n{rows}\n"), target="price")
    assert first.named
    assert not first.streams
    data = first.finish("regression")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [27, 5, 8]
    other = load(table(f"price,a,b\n{rows[:-1]}9\n"), target="price")
    assert other.finish("regression").fingerprint != data.fingerprint
