import inspect
import json

import pytest

import normwise.bench as benchmark
from measurements import kept_tensors, measurement, training_step
from normwise.bench import Result, ledger, timing
from normwise.cli.bench import bench


@pytest.fixture
def normwise(command, monkeypatch):
    """Runs a command in this process, in a folder of its own: exit code, stdout, stderr; the machine is idle."""
    monkeypatch.setattr(timing.os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    monkeypatch.setenv("COLUMNS", "80")

    return lambda *arguments: command("bench", *arguments)


@pytest.fixture
def found(monkeypatch):
    """What a benchmark is said to have found; nothing is measured."""
    machine = {"processor": "abacus", "code": "0" * 12}
    cases = [measurement(), measurement(epilogue="bn+silu", torch_error=99.0)]

    def run(request, on_progress):
        return Result(tuple(cases), (training_step(),), (kept_tensors(),), machine, 2, "auto", "the machine is busy")

    monkeypatch.setattr(benchmark, "run", run)
    return cases


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--shape", "32"], "shape is '32'"),
        (["--shape", "6x5", "--quick"], "give one of them"),
        (["--only", "swish"], "no case has 'swish'"),
        (["--threads", "0"], "threads is '0'"),
        (["--impl", "cpuu"], "did you mean 'cpu'"),
        (["--shapes", "6x5"], "--shape"),
    ],
)
def test_a_wrong_request_is_one_line(normwise, arguments, said):
    code, out, err = normwise(*arguments)
    assert said in err
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1


def test_a_small_benchmark_from_end_to_end(normwise, tmp_path):
    code, out, err = normwise(
        "--shape", "6x5", "--only", "bn+relu forward", "--impl", "reference", "--json", "--out", "a"
    )
    assert code == 0, err
    written = json.loads(out)
    assert [case["name"] for case in written["cases"]] == [
        "6x5 contiguous bn+relu forward+backward", "6x5 contiguous bn+relu forward"
    ]  # fmt: skip
    assert written["impl"] == "reference"
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "a.svg"}


def test_the_result_is_tables_and_notes_that_fit_a_terminal(normwise, found):
    code, out, _ = normwise()
    assert code == 0
    for said in ("bn+relu, forward+backward", "2.00†", "geometric means", "MLP", "chain"):
        assert said in out
    assert max(map(len, out.splitlines())) <= 80
    assert "32x64x56x56 contiguous" in out


def test_a_busy_machine_is_warned_about_before_anything_else(normwise, found, monkeypatch):
    monkeypatch.setattr(timing.os, "getloadavg", lambda: (1.7, 0, 0))
    _, out, err = normwise("--json")
    assert err == "warning: the machine is busy (load 1.7); ratios will spread\n"
    assert json.loads(out)["busy"] == "the machine is busy"


def test_where_ours_is_wrong_the_command_fails(normwise, found):
    found.append(measurement(3.21, error=345.0))
    code, out, _ = normwise()
    assert code == 1
    assert "err 345" in out
    assert "3.21" not in out


def test_the_ledger_needs_a_checkout_before_anything_is_measured(normwise, found, monkeypatch, tmp_path):
    monkeypatch.setattr(ledger.normwise, "__file__", str(tmp_path / "a" / "b" / "normwise" / "__init__.py"))
    code, out, err = normwise("--ledger")
    assert (code, out) == (2, "")
    assert "of a checkout" in err


@pytest.mark.parametrize("name", ["cpu.csv", "memory.csv"])
def test_other_columns_are_refused_before_anything_is_measured(normwise, monkeypatch, tmp_path, name):
    results = tmp_path / "benchmarks" / "results"
    results.mkdir(parents=True)
    (results / name).write_text("date,speed\n")
    monkeypatch.setattr(ledger, "checkout", lambda: tmp_path)
    monkeypatch.setattr(benchmark, "run", lambda *_: pytest.fail("it was measured"))
    code, out, err = normwise("--ledger")
    assert (code, out) == (2, "")
    assert "move it away" in err
    assert [path.name for path in results.iterdir()] == [name]


def test_the_ledger_is_appended_to(normwise, found, monkeypatch, tmp_path):
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    monkeypatch.setattr(ledger, "checkout", lambda: tmp_path)
    assert normwise("--ledger")[0] == 0
    assert len((tmp_path / "benchmarks/results/cpu.csv").read_text().splitlines()) == 4


@pytest.mark.parametrize("out", ["pictures/speed", "pictures/speed.png"])
def test_the_picture_goes_where_it_is_asked_for(normwise, found, tmp_path, out):
    code, printed, _ = normwise("--out", out)
    assert code == 0
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {"speed.png", "speed.svg"}
    assert "Picture: " in printed


def test_options_are_frozen():
    assert list(inspect.signature(bench).parameters) == [
        "shape", "only", "quick", "compiled", "impl", "threads", "out", "ledger", "json",
    ]  # fmt: skip
