"""Every kind of task, each by the command that its example names."""

import ast
import runpy
import shlex
from pathlib import Path

import pytest

from normwise.lab import compare

ROOT = Path(__file__).parents[2]

TASKS = {
    "regression": ("regression", "r2"),
    "one_logit": ("binary", "average_precision"),
    "multilabel": ("multilabel", "f1"),
    "time_series": ("classification", "accuracy"),
    "padded_sequences": ("binary", "accuracy"),
    "two_inputs": ("binary", "accuracy"),
    "segmentation": ("classification", "iou"),
    "focal_loss": ("classification", "balanced_accuracy"),
    "contrastive": ("other", "examples/contrastive.py:told_apart"),
    "table": ("regression", "r2"),
    "streaming": ("classification", "accuracy"),
}


def named_command(example):
    """The options of the command in the second paragraph of an example's docstring, and its arms."""
    docstring = ast.get_docstring(ast.parse((ROOT / "examples" / f"{example}.py").read_text()))
    words = shlex.split(docstring.split("\n\n")[1])
    assert words[:2] == ["normwise", "compare"]
    pairs = list(zip(words[2::2], words[3::2], strict=True))
    arms = [value for name, value in pairs if name == "--arm"]
    return arms or ["plain", "bn"], {name[2:].replace("-", "_"): value for name, value in pairs if name != "--arm"}


@pytest.mark.parametrize("example", TASKS)
def test_the_named_command_compares(example, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    arms, options = named_command(example)
    found = compare(arms, **options | {"steps": 20, "seeds": 1, "eval_every": 10, "workers": 0, "out": tmp_path})
    kind, metric = TASKS[example]
    assert (found.task.kind, found.metric.name) == (kind, metric)
    assert {run.status for arm in found.arms for run in arm.runs} == {"finished"}
    assert found.metric.label in (tmp_path / "report.html").read_text()


def test_the_table_is_what_its_script_writes():
    written = runpy.run_path(str(ROOT / "examples" / "table.py"))
    assert written["as_csv"](written["make_table"]()) == (ROOT / "examples" / "houses.csv").read_text()
