import json
import math

import pytest

from normwise.errors import JobError
from normwise.records.files import dumps, read_json, read_lines, replace, write_json


def test_numbers_that_are_not_finite_become_null():
    assert json.loads(dumps({"a": math.nan, "b": [math.inf, 1.5], "c": (-math.inf,)})) == {
        "a": None,
        "b": [None, 1.5],
        "c": [None],
    }


def test_floats_survive_a_round_trip_to_the_bit():
    values = [0.1, 1 / 3, 1e-300, 2.0**-1074]
    assert json.loads(dumps(values)) == values


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step":0}\n{"step":10}\n{"st')
    assert read_lines(path) == [{"step": 0}, {"step": 10}]


def test_a_missing_file_has_no_lines_and_no_value(tmp_path):
    assert read_lines(tmp_path / "x.jsonl") == []
    assert read_json(tmp_path / "x.json") is None


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "done.json"
    write_json(path, {"status": "finished"})

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace(path, b"half")
    assert read_json(path) == {"status": "finished"}
    assert [file.name for file in tmp_path.iterdir()] == ["done.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff{}", b"\x00\x00"])
def test_a_damaged_file_is_named_with_what_to_do(tmp_path, content):
    path = tmp_path / "bn-0-0a" / "done.json"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(JobError) as refused:
        read_json(path)
    assert str(refused.value).startswith(f"{path} is damaged (")
    assert f"delete the folder {path.parent} and give the command again" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_damaged_line_is_named_with_its_number(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes('{"name":"a\u2028b"}\n{"st\n{"step":20}\n'.encode())  # U+2028 ends no line of JSON
    with pytest.raises(JobError, match=r"metrics\.jsonl is damaged \(line 2: "):
        read_lines(path)
