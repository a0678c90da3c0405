import json

import pytest

from normwise.records.files import write_json
from normwise.records.metric import ACCURACY, Metric
from normwise.records.study import opened

STUDY = {
    "study": "compare",
    "data": "digits",
    "model": "mlp",
    "arms": ["plain", "bn"],
    "metric": ACCURACY._asdict(),
    "runs": [f"bn-{number}-0a" for number in range(6)],
    "verdict": "",
}


@pytest.fixture
def normwise(command, monkeypatch):
    """Runs a command in this process, in a folder of its own: exit code, stdout, stderr."""
    monkeypatch.setenv("COLUMNS", "200")

    return command


def study(folder, *best, **changed):
    """A study whose runs have ended with the given validation metrics; None is a run that failed."""
    (folder / "runs").mkdir(exist_ok=True)
    asked = {**STUDY, **changed}
    name = asked["metric"]["name"]
    out = folder / "runs" / f"compare-{asked['data']}"
    for number, value in enumerate(best):
        done = {"status": "failed", "best": None}
        if value is not None:
            done = {"status": "finished", "best": {"step": 5, "validation": {name: value}}}
        (out / f"bn-{number}-0a").mkdir(parents=True)
        write_json(out / f"bn-{number}-0a" / "done.json", done)
    out.mkdir(exist_ok=True)
    write_json(out / "study.json", asked)
    return out


def test_studies_are_listed_with_their_question_and_what_came_of_them(normwise, tmp_path):
    study(tmp_path, 0.9, 0.95, None, verdict="bn is better.").joinpath("report.html").write_text("")
    study(tmp_path, 4.0, 3.0, data="diabetes", metric=Metric("rmse", "RMSE", higher_is_better=False)._asdict())
    running = study(tmp_path, data="iris")
    with opened(running, {**STUDY, "data": "iris"}, {}):
        code, out, _ = normwise("runs", "--json")
        table = normwise("runs")[1]
    assert code == 0
    found = {each["data"]: each for each in json.loads(out)["studies"]}
    assert [found[name]["status"] for name in ("digits", "diabetes", "iris")] == ["finished", "interrupted", "running"]
    assert [found[name]["best"] for name in ("digits", "diabetes", "iris")] == [0.95, 3.0, None]
    assert (found["digits"]["ended"], found["digits"]["planned"], found["diabetes"]["metric"]) == (3, 6, "rmse")
    assert found["digits"]["report"] == "runs/compare-digits/report.html"
    assert "3 of 6" in table
    assert "accuracy 95.0 %" in table
    assert "runs/compare-digits: bn is better." in table


def test_runs_that_an_earlier_question_left_do_not_count(normwise, tmp_path):
    study(tmp_path, 0.9, 0.99, runs=["bn-0-0a"])
    (found,) = json.loads(normwise("runs", "--json")[1])["studies"]
    assert (found["ended"], found["planned"], found["best"]) == (1, 1, 0.9)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("study.json", "{"),
        ("study.json", '{"data": "digits"}'),
        ("study.json", '{"data": "digits", "model": "mlp", "arms": [], "metric": 3}'),
        ("bn-0-0a/done.json", ""),
    ],
)
def test_a_damaged_study_is_named_and_the_others_are_listed(normwise, tmp_path, file, content):
    (study(tmp_path, 0.9) / file).write_text(content)
    study(tmp_path, 0.9, data="wine", verdict="Equal.")
    code, out, _ = normwise("runs")
    assert code == 0
    assert "damaged" in out
    assert "runs/compare-digits: " in out
    assert "runs/compare-wine: Equal." in out


def test_a_folder_without_studies_says_so_and_one_that_is_not_there_is_refused(normwise, tmp_path):
    (tmp_path / "runs").mkdir()
    assert "There are no studies in runs" in normwise("runs")[1]
    assert json.loads(normwise("runs", "--json")[1]) == {"studies": []}
    code, _, err = normwise("runs", "nowhere")
    assert (code, err.startswith("error: there is no folder nowhere")) == (2, True)
