"""Every study runs from beginning to end, and says what a page needs."""

import html
import json
import os
import re
from pathlib import Path

import pytest

from normwise.lab.reproduction.catalogue import study
from normwise.lab.reproduction.reproduce import reproduce
from normwise.lab.reproduction.study import Verdict
from normwise.lab.studies import NAMES

MAP = Path(__file__).parents[3] / "docs" / "reproduce.md"


@pytest.mark.parametrize("name", NAMES)
def test_a_study_runs_and_judges_every_claim(name, tmp_path):
    one = study(name)
    data = "digits" if "digits" in one.alternatives else one.data
    if data not in ("", "digits") and "NORMWISE_DATA" not in os.environ:
        pytest.skip(f"needs NORMWISE_DATA with {data}")
    found = reproduce(name, scale="smoke", data=data or None, out=tmp_path / "out", workers=0)
    assert not found.outcome.failed
    assert [claim.text for claim, _ in found.claims] == [claim.text for claim in one.claims]
    assert all(isinstance(judged.verdict, Verdict) and judged.words for _, judged in found.claims)
    assert found.panels
    assert one.title in html.unescape(found.report.read_text(encoding="utf-8"))
    assert json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))["study"] == name


@pytest.mark.parametrize("name", NAMES)
def test_a_study_tells_a_learner_what_it_is(name):
    one = study(name)
    assert one.name == name
    assert all((one.title, one.source, one.claims, one.see, one.why, one.changes, one.full))
    assert 0 < one.quick_seconds <= 120
    assert all(claim.threshold for claim in one.claims)


def shown_by(note):
    text = MAP.read_text(encoding="utf-8").partition("\n## A study of")[0]
    rows = re.split(r"^### Note ", text, flags=re.MULTILINE)[1 + int(note)].splitlines()
    return " ".join(row.split("|")[-2] for row in rows if row.startswith("|"))


@pytest.mark.parametrize("name", NAMES)
def test_a_study_names_the_notes_under_which_the_documentation_has_it(name):
    notes = ("000", "001", "002", "003", "004")
    assert study(name).notes == tuple(n for n in notes if re.search(rf"(?<![\w-]){name}(?![\w-])", shown_by(n)))
