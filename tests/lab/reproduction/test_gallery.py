"""What is kept of a reproduction is enough for its row in the ledger and its part of the gallery."""

import csv
import importlib.util
from pathlib import Path

import pytest
from benchmarks import reproductions

from made_study import catalogue, made
from normwise import lab

ROOT = Path(__file__).parents[3]


@pytest.fixture
def gallery():
    found = importlib.util.spec_from_file_location("gallery", ROOT / "docs" / "reproductions.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_a_finished_directory_becomes_a_file_rows_and_a_picture(tmp_path, monkeypatch, gallery):
    monkeypatch.chdir(tmp_path)
    catalogue(monkeypatch, made())
    monkeypatch.setattr(gallery, "NAMES", ("made-up",))
    directory = lab.reproduce("made-up", workers=0).directory
    for _ in range(2):
        reproductions.keep([directory], tmp_path / "kept")
    with (tmp_path / "kept/reproductions.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["claim"], row["verdict"]) for row in rows] == [
        ("Values are even.", "holds"),
        ("Values are small.", "does not hold"),
    ]
    monkeypatch.setattr(gallery, "KEPT", tmp_path / "kept/reproductions")
    kept = gallery.read()
    text = gallery.gallery(kept)
    assert "Of 2 claims in 1 study, 1 holds and 1 does not." in text
    assert "| 3.3 | [made-up](#made-up) |" in text
    assert "normwise reproduce made-up --scale quick" in text
    assert "✗ **does not hold**: Values are small. Up to 4." in text
    assert b"<svg" in gallery.picture(kept["made-up"])
    with pytest.raises(ValueError, match="no reproduction that ended well"):
        reproductions.kept(tmp_path)


@pytest.mark.parametrize(
    ("source", "sections"),
    [
        ("Ioffe and Szegedy 2015, sections 1, 2, 3.3 and 4.2.2", ["1", "2", "3.3", "4.2.2"]),
        ("Ioffe and Szegedy 2015, section 4.2, figures 2, 3 and 5", ["4.2"]),
        ("notes 003 and 004; Ioffe and Szegedy 2015, Algorithm 1", []),
        ("Ioffe and Szegedy 2015, section 2; Santurkar et al. 2018, section 4", ["2"]),
    ],
)
def test_sections_of_the_paper_are_found_in_a_source(gallery, source, sections):
    assert gallery.sections(source) == sections


def test_the_gallery_is_up_to_date(gallery):
    kept = gallery.read()
    if not kept:
        pytest.skip("no results are kept")
    written = (gallery.FOLDER / "index.md").read_text(encoding="utf-8")
    assert written == gallery.gallery(kept), "run: make docs"
    assert all((gallery.FOLDER / f"{name}.svg").is_file() for name, found in kept.items() if found["figure"])
