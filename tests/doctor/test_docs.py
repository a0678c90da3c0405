"""The doctor's documentation is that of its rules, remedies and files."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

from normwise.doctor.diagnosis import Diagnosis
from normwise.doctor.evidence import Evidence
from normwise.doctor.finding import Finding, Severity
from normwise.doctor.remedies import BY_NAME
from normwise.doctor.rules import RULES
from normwise.doctor.treatment import Recommendation, TreatedRun, Treatment

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_pages_are_up_to_date():
    pages = runpy.run_path(str(DOCS / "rules.py"))["pages"]()
    assert set(pages) == set((DOCS / "rules").glob("*.md")), "run: make docs"
    old = [path.name for path, text in pages.items() if path.read_text(encoding="utf-8") != text]
    assert old == [], "run: make docs"


def test_every_link_leads_to_a_page():
    for path in (DOCS / "rules").glob("*.md"):
        for link in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / link).is_file(), (path.name, link)


def test_rules_are_in_order_with_names_of_their_own_and_remedies_that_exist():
    ids = [rule.id for rule in RULES]
    assert ids == sorted(set(ids))
    assert len({rule.name for rule in RULES}) == len(RULES)
    files = {path.stem for path in (ROOT / "src" / "normwise" / "doctor" / "rules").glob("nw*.py")}
    assert files == {f"{rule.id}_{rule.name}".lower().replace("-", "_") for rule in RULES}
    for rule in RULES:
        assert re.fullmatch(r"NW\d{3}", rule.id)
        assert set(rule.remedies) <= set(BY_NAME), rule.id
        texts = (rule.meaning, rule.evidence, rule.threshold, rule.source)
        assert all(text.strip().endswith((".", "?")) for text in texts), rule.id


def test_every_remedy_is_described():
    text = (DOCS / "doctor.md").read_text(encoding="utf-8")
    assert [name for name in BY_NAME if f"`{name}`" not in text] == []


def test_every_key_that_is_printed_is_in_the_page():
    treated = Treatment("clip", {}, (TreatedRun(0, "finished", 0.9, learned=True),), 0.9, None, 0.1, 0.1, helped=False)
    finding, advised = Finding("NW101", "vanishing-gradient", Severity.INFO), Recommendation("clip", "", 0.1, 0.1)
    plain = Diagnosis((finding,), Evidence(), (treated,), advised).as_dict()
    parts = [plain, plain["metric"], plain["findings"][0], plain["treatments"][0], plain["recommendation"]]
    keys = {key for part in [*parts, plain["treatments"][0]["runs"][0]] for key in part}
    text = (DOCS / "doctor.md").read_text(encoding="utf-8").partition("`--json`:\n")[2]
    assert {key for key in keys if f'"{key}"' not in text} == set()


def test_every_file_of_the_doctor_is_in_the_house():
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    folder = ROOT / "src" / "normwise" / "doctor"
    files = [path.name for path in (*folder.glob("[!_]*.py"), *folder.glob("examining/[!_]*.py"))]
    assert len(files) > 20
    assert [name for name in files if name not in text] == []
