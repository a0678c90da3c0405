"""A study is run once, goes on where it was, and says what did not work."""

import json
import os

import pytest

from made_study import MADE, STOP, catalogue, made, trained
from normwise import lab
from normwise.errors import DataError, RequestError
from normwise.lab.reproduction.asked import Asked, Scale
from normwise.lab.reproduction.history import newest
from normwise.lab.reproduction.reproduce import command
from normwise.lab.reproduction.study import Training
from normwise.records.listing import studies


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Reproduces the made-up study in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    catalogue(monkeypatch, made())
    return lambda **options: lab.reproduce("made-up", workers=0, **options)


def test_a_study_leaves_a_verdict_a_page_and_its_numbers(run, tmp_path):
    found = run()
    assert [str(verdict) for verdict in found.verdicts] == ["holds", "does not hold"]
    assert found.verdict == "1 of the 2 claims holds here. Claim 2 does not: Values are small."
    out = tmp_path / "runs/reproduce-made-up-quick"
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert list(result) == ["study", "scale", "source", "claims", "figures", "report"]
    assert result["claims"][1]["evidence"] == {"most": 4}
    page = (out / "report.html").read_text(encoding="utf-8")
    assert all(text in page for text in (found.verdict, "Two is &lt;two&gt;.", "factor 2", "arxiv.org/abs/1502.03167"))
    (listed,) = studies(tmp_path / "runs")
    assert (listed.status, listed.verdict, listed.best, listed.ended) == ("finished", "1 of 2 holds", None, 2)
    assert json.loads((out / "figures/doubles.json").read_text(encoding="utf-8"))["drawing"] == "lines"


def test_a_finished_study_does_nothing_when_it_is_asked_again_and_seeds_are_added(run):
    run()
    run()
    assert MADE == [0, 1]
    assert run(seeds=3).outcome.measured["double"][2] == {"value": 6}
    assert MADE == [0, 1, 2]


def test_a_study_that_was_interrupted_goes_on(run, tmp_path):
    STOP.append(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        run()
    (listed,) = studies(tmp_path / "runs")
    assert (listed.status, listed.verdict) == ("interrupted", "")
    assert newest(tmp_path / "runs") == {}
    run()
    assert MADE == [0, 0, 1]


def test_a_failed_measurement_leaves_claims_undecided_and_is_made_again(run, tmp_path):
    STOP.append(ValueError("no luck"))
    found = run()
    assert {str(verdict) for verdict in found.verdicts} == {"undecided"}
    assert "no luck" in found.outcome.failed["double"]
    assert found.as_dict()["figures"] == []
    assert "double failed: ValueError: no luck" in found.report.read_text(encoding="utf-8")
    assert [str(verdict) for verdict in run().verdicts] == ["holds", "does not hold"]
    assert MADE == [0, 1, 0]


def test_trainings_and_measurements_share_a_study(run, monkeypatch, tmp_path):
    catalogue(monkeypatch, made(plan=trained, data="mnist", alternatives=("digits",)))
    first = run(data="digits")
    assert first.report.parent.name == "reproduce-made-up-digits-quick"
    stamps = {path: path.stat().st_mtime_ns for path in first.directory.glob("*/done.json")}
    second = run(data="digits", seeds=2)
    assert {arm: len(runs) for arm, runs in second.outcome.runs.items()} == {"plain": 2, "bn": 2}
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    page = second.report.read_text(encoding="utf-8")
    assert all(text in page for text in ("learning rate", "The settings in which trainings differ.", "mlp:4"))
    with pytest.raises(DataError, match=r"made-up needs mnist: .*nowhere.* --data digits"):
        run(data_dir="nowhere")


def test_the_command_asks_the_same():
    study = made(data="mnist", alternatives=("digits",))
    assert command(study, Asked(Scale.QUICK, "mnist"), "cpu") == "normwise reproduce made-up --scale quick"
    said = "normwise reproduce made-up --scale full --data digits --seeds 5 --device cuda"
    assert command(study, Asked(Scale.FULL, "digits", 5), "cuda") == said


def test_data_functions_of_a_study_load_from_the_data_directory(run, monkeypatch):
    monkeypatch.setenv("NORMWISE_DATA", "elsewhere")

    def plan(asked):
        data = f"normwise.lab.studies.datasets.first_examples:{asked.data}"
        return [Training({"plain": {}}, data, 1, {"model": "mlp:4", "steps": 1})]

    catalogue(monkeypatch, made(plan=plan, data="mnist", alternatives=("digits",)))
    with pytest.raises(DataError, match=r"made-up needs mnist: .*nowhere.*mnist; .* --data digits$"):
        run(data_dir="nowhere")
    assert os.environ["NORMWISE_DATA"] == "elsewhere"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scale": "ful"}, "did you mean 'full'"),
        ({"seeds": 0}, "1 or more"),
        ({"data": "digits"}, "needs no data"),
        ({"device": "gpu"}, "cannot be used"),
    ],
)
def test_a_wrong_request_starts_nothing(run, tmp_path, options, said):
    with pytest.raises(RequestError, match=said):
        run(**options)
    assert not (tmp_path / "runs").exists()


def test_a_directory_of_another_question_is_refused(run, monkeypatch):
    run(out="here")
    with pytest.raises(RequestError, match="scale 'quick', not 'full'"):
        run(out="here", scale="full")
    catalogue(monkeypatch, made("other"))
    with pytest.raises(RequestError, match="name 'made-up', not 'other'"):
        lab.reproduce("other", out="here", workers=0)
    with pytest.raises(RequestError, match="study 'reproduce', not 'compare'"):
        lab.compare(out="here", steps=1)


def test_the_newest_run_counts_and_what_cannot_be_read_does_not(run, tmp_path):
    run(scale="smoke")
    assert newest(tmp_path / "runs") == {}
    run()
    for name, text in {"a": "{", "b": "[]", "c": '{"study": "compare", "verdicts": ["holds"]}', "d": ""}.items():
        (tmp_path / f"runs/reproduce-{name}").mkdir()
        (tmp_path / f"runs/reproduce-{name}/study.json").write_text(text)
    (tmp_path / "runs/reproduce-e").write_text("a file")
    (past,) = newest(tmp_path / "runs").values()
    assert (past.name, past.verdict) == ("made-up", "1 of 2 holds (quick)")
    assert newest(tmp_path / "nowhere") == {}
