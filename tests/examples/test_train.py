import json
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "train.py"


def test_the_example_compares(tmp_path):
    command = ["compare", "--model", f"{EXAMPLE}:make_model", "--data", f"{EXAMPLE}:make_data"]
    done = subprocess.run(
        [sys.executable, "-m", "normwise", *command, "--steps", "300", "--seeds", "1", "--json"],
        capture_output=True, text=True, cwd=tmp_path, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [arm["settings"]["norm"] for arm in json.loads(done.stdout)["arms"]] == ["none", "batch"]
