"""The command as it is given, with what a machine with a GPU may lack."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from normwise.bench.gpu.ledger import read

ROOT = Path(__file__).parents[3]
DRAW = "python3 -m benchmarks.gpu --draw"
LACKING = {"numba", "llvmlite", "typer", "click", "rich", "matplotlib", "scipy", "sklearn", "pooch", "safetensors"}

# A finder that refuses, before all others.
BARE = f"""
import importlib.abc, runpy, sys

class Bare(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {sorted(LACKING)}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Bare())
runpy.run_module("benchmarks.gpu", run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs the command in this process: exit code, stdout, stderr."""
    monkeypatch.syspath_prepend(ROOT)
    main = importlib.import_module("benchmarks.gpu").main

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["benchmarks.gpu", *arguments])
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = ended.code
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_a_trial_needs_torch_and_numpy_alone_and_is_drawn_later(command, tmp_path):
    path = tmp_path / "gpu.csv"
    trial = ("--device", "cpu", "--impl", "torch", "--seconds", "0", "--ledger", str(path), "--only", "6x5")
    apart = subprocess.run(
        [sys.executable, "-c", BARE, *trial], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert apart.returncode == 0, apart.stderr
    out = apart.stdout
    assert "6x5 contiguous bn+relu forward called:" in out
    assert f"no picture: this Python lacks matplotlib; where there is one: {DRAW} --ledger {path}" in out
    rows = read(path)
    assert {row["contender"] for row in rows} == {"device copy", "ours", "torch", "torch in place", "floor"}
    assert all(row["torch"] and row["device"] for row in rows)
    code, out, err = command("--draw", "--ledger", str(path))
    assert code == 0, err
    assert "geometric means" in out
    assert {file.name for file in tmp_path.iterdir()} == {"gpu.csv", "gpu-float32.svg", "gpu-float32.png"}
    assert read(path) == rows
    code, out, err = command(*trial, "--continue")
    assert code == 0, err
    assert len(read(path)) == len(rows) + 1  # the copy


def test_where_there_is_no_time_nothing_is_measured_and_all_is_named(command, tmp_path):
    code, out, _ = command("--device", "cpu", "--minutes", "0", "--ledger", str(tmp_path / "gpu.csv"))
    assert code == 0
    assert "no time was left for 5" in out
    assert "training step ResNet-50 of width 2" in out


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize("target", ["test-gpu", "bench-gpu"])
@pytest.mark.parametrize(("given", "path"), [("/there", "src:/there"), ("", "src"), (None, "src")])
def test_make_keeps_the_path_that_it_is_given(target, given, path, tmp_path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "path $PYTHONPATH"\n')
    python.chmod(0o755)
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MAKEFLAGS", "MAKELEVEL")}
    env |= {} if given is None else {"PYTHONPATH": given}
    command = ["make", "--silent", target, f"PYTHON={python}"]
    out = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=True).stdout
    assert out.split("\n")[:-1] == [f"path {path}"] * (3 if target == "test-gpu" else 1)


@pytest.mark.skipif(shutil.which("make") is None or torch.cuda.is_available(), reason="needs make and no GPU")
@pytest.mark.parametrize("target", ["test-gpu", "bench-gpu"])
def test_make_without_a_gpu_is_an_error(target):
    env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    command = ["make", "--silent", target, f"PYTHON={sys.executable}"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode
    assert "torch sees no" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--device", "tpu"], "error: device is 'tpu'; allowed"),
        (["--device", "cpu", "--impl", "fast"], "error: impl is 'fast'; allowed"),
        (["--device", "cpu", "--only", "swish"], "error: nothing has 'swish' in its name"),
        (["--device", "cpu", "--tune"], "error: --tune finds out what is quickest on a GPU, and device is 'cpu'"),
        (["--draw", "--ledger", "nowhere.csv"], "error: nowhere.csv has no rows to draw"),
    ],
)
def test_a_wrong_request_is_one_line(command, arguments, said):
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(said)
    assert len(err.splitlines()) == 1
