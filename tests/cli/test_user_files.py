"""A user's files beside the command: none is taken for a module of Python's or torch's."""

import subprocess
import sys

import pytest

from normwise.records.files import read_json

NET = """
import random, statistics, torch, neighbor
from torch import nn

def make_model():
    numbers = torch.utils.data.DataLoader(list(range(8)), num_workers=1)  # a run's process may have children
    assert sum(batch.item() for batch in numbers) == 28
    assert random.random() < 1 and statistics.mean([1, 3]) == 2
    return nn.Sequential(nn.Flatten(), nn.Linear(64, neighbor.WIDTH), nn.ReLU(), nn.Linear(neighbor.WIDTH, 10))
"""


@pytest.mark.parametrize("model", ["net.py:make_model", "net:make_model"])
def test_files_called_like_modules_hide_none_and_neighbors_are_found(tmp_path, model):
    for name in ("random", "statistics", "torch", "tempfile", "numpy", "typer"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('taken for a module')")
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "neighbor.py").write_text("WIDTH = 12")
    command = ["compare", "--steps", "20", "--seeds", "1", "--workers", "2", "--model", model]
    done = subprocess.run(
        [sys.executable, "-m", "normwise", *command], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    ended = [read_json(path)["status"] for path in tmp_path.glob("runs/*/*/done.json")]
    assert ended == ["finished", "finished"]
