import json

import pytest

from made_study import STOP, catalogue, made, trained


@pytest.fixture
def normwise(command, monkeypatch):
    """Runs a command in this process, in a folder of its own, where two studies exist."""
    monkeypatch.setenv("COLUMNS", "80")
    catalogue(monkeypatch, made(), made("second", title="Another"))
    return lambda *arguments: command("reproduce", *arguments)


def test_the_list_has_what_was_run(normwise):
    normwise("made-up", "--workers", "0")
    code, out, _ = normwise()
    assert code == 0
    assert "1 of 2 holds" in out
    assert max(map(len, out.splitlines())) <= 80
    first, second = json.loads(normwise("--json")[1])
    assert list(second) == [
        "name", "title", "source", "notes", "claims", "quick_seconds", "full", "data", "alternatives"
    ]  # fmt: skip
    assert first["run"]["verdicts"] == ["holds", "does not hold"]
    assert (second["notes"], second["claims"]) == (["000", "004"], ["Values are even.", "Values are small."])


def test_a_study_prints_its_title_table_claims_and_page(normwise):
    code, out, _ = normwise("made-up", "--workers", "0")
    assert code == 0
    assert all(text in out for text in ("Doubling doubles", "✓ holds: Values are even.", "✗ does not hold: Values are"))
    assert out.endswith("Report: runs/reproduce-made-up-quick/report.html\n")
    found = json.loads(normwise("made-up", "--workers", "0", "--json")[1])
    assert found["claims"][0]["verdict"] == "holds"


def test_a_failed_trial_exits_with_one(normwise):
    STOP.append(ValueError("no luck"))
    code, out, _ = normwise("made-up", "--workers", "0")
    assert (code, "? undecided" in out, "no luck" in out) == (1, True, True)


def test_all_goes_on_after_a_study_that_fails_and_makes_an_index(normwise, monkeypatch, tmp_path):
    without = made("without", plan=trained, data="mnist")
    catalogue(monkeypatch, without, made("broken", figures=lambda outcome: 1 / 0), made())
    code, out, _ = normwise("all", "--workers", "0", "--data-dir", "nowhere")
    assert code == 1
    assert "without needs mnist" in " ".join(out.split())
    assert "broken: ZeroDivisionError" in out
    assert "1 of 2 holds" in out
    index = (tmp_path / "runs/reproduce-all-quick/index.html").read_text(encoding="utf-8")
    assert 'href="../reproduce-made-up-quick/report.html"' in index
    assert "Of 2 claims in 1 study, 1 holds and 1 does not. Not run, or not to the end: without, broken." in index
    assert index.count("<article") == 3
    found = json.loads(normwise("all", "--workers", "0", "--out", "here", "--data-dir", "nowhere", "--json")[1])
    assert [bool(each["claims"]) for each in found["studies"]] == [False, False, True]
    assert (tmp_path / "here/made-up/report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["made-upp"], "did you mean 'made-up'"),
        (["made-up", "--scale", "ful"], "did you mean 'full'"),
        (["made-up", "--data", "digits"], "needs no data"),
        (["all", "--data", "digits"], "no study takes --data digits"),
        (["all", "--seeds", "0"], "from 1 to 1,000"),
        (["all", "--device", "gpu"], "cannot be used"),
        (["--seeds", "3"], "--seeds goes with a study's name"),
        (["made-up", "--workers", "-1"], "greater than or equal to 0"),
    ],
)
def test_a_wrong_request_is_one_line_and_starts_nothing(normwise, tmp_path, arguments, said):
    code, out, err = normwise(*arguments)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert said in err
    assert not (tmp_path / "runs").exists()
