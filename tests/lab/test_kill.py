"""A study that was killed, in whole, ends with the same bytes as one that was left alone."""

import os
import signal
import subprocess
import sys
import time

import pytest

from normwise.lab import compare
from normwise.records import RunRecord

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="sends SIGKILL")

ARMS = ("plain", "noisy: bn, dropout=0.2, optimizer=momentum")
OPTIONS = {"steps": 1000, "seeds": 1, "eval_every": 50}

# Kills itself as soon as there is a checkpoint, which there is after each measurement. It has no main guard: a worker
# that imported it again would write to the file, too.
SCRIPT = f"""
import functools, os, pathlib, signal, sys
from normwise.lab import compare, job, plan

out = pathlib.Path(sys.argv[1])
with out.with_name("started").open("a") as started:
    started.write("once ")
plan.Job = functools.partial(job.Job, seconds_between_checkpoints=0.0)

def kill(status):
    if list(out.glob("*/checkpoint.safetensors")):
        os.kill(os.getpid(), signal.SIGKILL)

compare({ARMS!r}, out=out, on_progress=kill, **{OPTIONS!r})
"""


def metrics(out):
    return {path.parent.name: path.read_bytes() for path in out.glob("*/metrics.jsonl")}


def test_killed_half_way_and_continued(tmp_path, monkeypatch):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    (tmp_path / "script.py").write_text(SCRIPT)
    study = subprocess.run([sys.executable, tmp_path / "script.py", killed], capture_output=True, timeout=300)
    assert study.returncode == -signal.SIGKILL, study.stderr
    assert (tmp_path / "started").read_text() == "once "
    time.sleep(0.5)  # the workers notice
    records = [RunRecord.read(path.parent, arm="") for path in killed.glob("*/metrics.jsonl")]
    assert not all(record.done for record in records), "killed too late"
    monkeypatch.setattr("normwise.lab.page.write", lambda result, panels: None)
    compare(ARMS, out=whole, workers=0, **OPTIONS)
    assert metrics(killed) != metrics(whole)
    continued = compare(ARMS, out=killed, workers=0, **OPTIONS)
    assert {record.done["status"] for record in continued.records} == {"finished"}
    assert metrics(killed) == metrics(whole)
