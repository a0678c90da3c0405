"""``normwise warmup``."""

import subprocess
import sys


def run(*arguments):
    command = [sys.executable, "-m", "normwise", "warmup", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_an_unknown_type_or_activation_is_one_line():
    done = run("relu", "--dtype", "float16")
    assert done.returncode == 2
    assert "the kernels take float32, float64, bfloat16" in done.stderr
    assert run("rele").returncode == 2
