"""A study that was killed, in whole, ends with the same bytes as one that was left alone."""

import os
import signal
import subprocess
import sys
import time

import pytest

from normwise.records import RunRecord

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="sends SIGKILL")


def command(out):
    arms = ["--arm", "plain", "--arm", "noisy: bn, dropout=0.2, optimizer=momentum"]
    return [sys.executable, "-m", "normwise", "compare", *arms, "--steps", "12000", "--seeds", "1", "--out", out]


def metrics(out):
    return {path.parent.name: path.read_bytes() for path in out.glob("*/metrics.jsonl")}


def test_killed_half_way_and_continued(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(whole), check=True, capture_output=True, timeout=300)
    study = subprocess.Popen(command(killed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(killed.glob("*/checkpoint.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.02)
    study.send_signal(signal.SIGKILL)
    study.wait()
    time.sleep(0.5)  # the workers notice
    assert not all(RunRecord.read(path.parent, arm="").done for path in killed.glob("*/metrics.jsonl")), (
        "killed too late"
    )
    assert metrics(killed) != metrics(whole)
    subprocess.run(command(killed), check=True, capture_output=True, timeout=300)
    assert metrics(killed) == metrics(whole)
