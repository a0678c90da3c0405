"""``normwise warmup``."""

import subprocess
import sys

import pytest
import torch


def run(*arguments):
    command = [sys.executable, "-m", "normwise", "warmup", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_an_unknown_type_or_activation_is_one_line():
    done = run("relu", "--dtype", "float16")
    assert done.returncode == 2
    assert "the kernels take float32, float64, bfloat16" in done.stderr
    assert run("rele").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tune"], "--tune needs shapes to time"),
        (["--shape", "8x"], "shape is '8x'; allowed"),
        (["--shape", "8x3x4x4", "--dtype", "float64"], "the kernels take float32, bfloat16, float16"),
    ],
)
def test_a_wrong_request_for_a_gpu_is_one_line(arguments, said):
    done = run(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_shapes_without_a_gpu():
    done = run("--shape", "8x3x4x4", "--tune")
    assert done.returncode == 2
    assert "torch sees none; leave it out" in done.stderr
