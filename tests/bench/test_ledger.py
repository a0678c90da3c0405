import csv
import re
from pathlib import Path

import pytest

import normwise
from measurements import kept_tensors, measurement
from normwise.bench import ledger
from normwise.errors import RequestError


def test_a_row_has_what_the_ledger_needs(tmp_path):
    path = tmp_path / "cpu.csv"
    ledger.append(path, [ledger.case_row(measurement(), {"impl": "auto", "threads": 2})])
    ledger.append(path, [ledger.case_row(measurement(error=99.0), {"impl": "auto", "threads": 2})])
    with path.open(newline="") as file:
        first, wrong = csv.DictReader(file)
    assert list(first) == [
        "date", "benchmark", "ratio", "min", "max", "n", "in_place", "compile", "over_floor", "recomputing", "seconds",
        "error", "torch_error", "saved", "torch_saved", "impl", "threads", "processor", "cores", "python", "normwise",
        "torch", "code",
    ]  # fmt: skip
    assert (first["ratio"], first["min"], first["max"], first["n"]) == ("2.000", "1.000", "4.000", "5")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", first["date"])
    assert re.fullmatch(r"[0-9a-f]{12}", first["code"])
    assert first["normwise"] == normwise.__version__
    assert (wrong["ratio"], wrong["n"], wrong["error"]) == ("", "0", "99")


def test_memory_has_amounts_and_shares(tmp_path):
    path = tmp_path / "memory.csv"
    ledger.append(path, [ledger.memory_row(kept_tensors(), {"impl": "auto", "threads": 2})])
    with path.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert list(row)[:8] == [
        "date", "benchmark", "unit", "ours_amount", "recomputing_amount", "torch_amount", "ours_share",
        "recomputing_share",
    ]  # fmt: skip
    assert (row["ours_amount"], row["torch_amount"], row["ours_share"]) == ("3.000", "4.000", "0.750")
    assert row["recomputing_amount"] == ""
    assert row["torch"] == ledger.described()["torch"]


def test_rows_of_other_columns_are_refused(tmp_path):
    path = tmp_path / "cpu.csv"
    ledger.append(path, [{"benchmark": "a", "ratio": 1}])
    with pytest.raises(RequestError, match="move it away"):
        ledger.append(path, [{"benchmark": "a", "speed": 1}])
    ledger.append(path, [])
    assert len(path.read_text().splitlines()) == 2


def test_the_checkout_is_found_or_asked_for(tmp_path, monkeypatch):
    assert (ledger.checkout() / "pyproject.toml").exists()
    monkeypatch.setattr(normwise, "__file__", str(tmp_path / "lib" / "site-packages" / "normwise" / "__init__.py"))
    with pytest.raises(RequestError, match="of a checkout"):
        ledger.checkout()


def test_the_hash_changes_with_the_code(tmp_path, monkeypatch):
    package = tmp_path / "src" / "normwise"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("a = 1\n")
    monkeypatch.setattr(normwise, "__file__", str(package / "__init__.py"))
    before = ledger.code_hash()
    assert ledger.code_hash() == before
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "run.py").write_text("b = 2\n")
    assert ledger.code_hash() != before


def test_the_lab_s_ledger_keeps_its_columns():
    with (Path(__file__).parents[2] / "benchmarks/results/lab.csv").open(newline="") as file:
        columns = next(csv.reader(file))
    row = {"benchmark": "", "ratio": "", "min": "", "max": "", "n": "", "question": ""}
    assert columns == ["date", *row, *ledger.described()]
