import pytest

from normwise.cli.console import fitting, print_table

COLUMNS = [
    "arm", "lr", "init", "test R²", "mean of outputs", "steps to target", "never", "gap", "gradient", "seconds",
    "diverged", "failed",
]  # fmt: skip
REST = ["normal:0.01", "0.612 ± 0.034", "0.634", "12,345", "0 of 3", "+0.1", "1.2e+04", "123.4"]
ROWS = [
    ["plain", "0.02", *REST, "3 of 3 (step 12, 45, 1,123)", "0 of 3"],
    ["he: activation=relu, init=he, lr=1.0", "0.2", *REST, "0 of 3", "1 of 3 (step 120)"],
    ["a_name_without_any_space_in_it_at_all", "0.2", *REST, "0 of 3", "0 of 3"],
    ["バッチ正規化", "0.2", *REST, "0 of 3", "0 of 3"],
]


def printed(capsys, monkeypatch, width, columns=COLUMNS, rows=ROWS):
    monkeypatch.setenv("COLUMNS", str(width))
    print_table(columns, rows)
    return capsys.readouterr().out


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_every_name_and_every_cell_can_be_read_at_any_width(capsys, monkeypatch, width):
    from rich.cells import cell_len

    out = printed(capsys, monkeypatch, width)
    assert max(map(cell_len, out.splitlines())) <= width
    assert "…" not in out
    words = out.split()
    for row in ROWS:
        assert set(row[0].split()) <= set(words)
        assert all(set(cell.split()) <= set(words) for cell in row)


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_the_table_of_a_divergence_names_its_arms(capsys, monkeypatch, width):
    """What ``compare --steps 50 --seeds 1 --activation relu --lr 1e8`` prints."""
    columns = ["arm", "test, %", "steps to target", "never", "gap", "gradient", "seconds", "diverged"]
    rows = [[name, "10.0", "0", "0 of 1", "+0.1", "0.65", "0.1", "1 of 1 (step 3)"] for name in ("plain", "bn")]
    lines = printed(capsys, monkeypatch, width, columns, rows).splitlines()
    assert [line.split()[0] for line in lines if line.startswith(("plain", "bn"))] == ["plain", "bn"]
    assert any(line.endswith("(step 3)") for line in lines)


def test_columns_are_whole_where_there_is_room_then_broken_then_listed():
    columns, rows = ["arm", "steps to target", "diverged"], [["he: activation=relu", "12", "1 of 1 (step 3)"]]
    whole = [19, 15, 15]
    assert fitting(columns, rows, 200) == whole
    assert fitting(columns, rows, sum(whole) + 4) == whole
    assert fitting(columns, rows, 40) == [19, 9, 8]
    assert fitting(columns, rows, 34) == [16, 6, 8]
    assert fitting(columns, rows, 33) is None
