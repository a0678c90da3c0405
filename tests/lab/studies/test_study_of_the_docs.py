"""docs/reproduce.md names every study, and the study that it shows as an example runs, as its test does."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from normwise.lab.reproduction import catalogue
from normwise.lab.reproduction.reproduce import reproduce
from normwise.lab.studies import NAMES

PAGE = Path(__file__).parents[3] / "docs" / "reproduce.md"


@pytest.fixture
def written(monkeypatch):
    """The study's module and that of its test, as the page has them."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    study, test = (next(block for block in blocks if mark in block) for mark in ("STUDY = ", "import pytest"))
    module = ModuleType("normwise.lab.studies.two_layers")
    exec(study, module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(catalogue, "NAMES", ("two-layers",))
    tests = ModuleType("test_two_layers")
    exec(test, tests.__dict__)
    return tests


def test_the_example_runs(written, tmp_path):
    found = reproduce("two-layers", scale="smoke", out=tmp_path / "out", workers=0)
    assert len(found.panels) == 1
    assert not found.outcome.failed


def test_the_test_of_the_example_passes(written):
    (mark,) = written.test_every_seed_has_to_agree.pytestmark
    for bn, verdict in mark.args[1]:
        written.test_every_seed_has_to_agree(bn, verdict)


def test_its_tables_name_every_study_and_no_other():
    page = PAGE.read_text(encoding="utf-8")
    tables = page[page.index("## From the paper") : page.index("## A study of your own")]
    named = set(re.findall(r"`(?:reproduce )?([a-z0-9]+(?:-[a-z0-9]+)*)`", tables))
    assert named - {"all", "fit"} == set(NAMES)
