"""A study is run once, goes on where it was, and says what did not work."""

import json
import os

import numpy as np
import pytest
import torch

from made_study import MADE, STOP, catalogue, made, trained
from normwise import lab
from normwise.errors import DataError, JobError, RequestError
from normwise.lab.reproduction import measuring
from normwise.lab.reproduction.asked import Asked, Scale
from normwise.lab.reproduction.clock import clocked
from normwise.lab.reproduction.history import newest
from normwise.lab.reproduction.index import reproduce_all
from normwise.lab.reproduction.reproduce import command
from normwise.lab.reproduction.study import Measurement, Training
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
        ({"seeds": 0}, "from 1 to 1,000"),
        ({"seeds": 10**9}, "from 1 to 1,000"),
        ({"seeds": 1.5}, "from 1 to 1,000"),
        ({"data": "digits"}, "needs no data"),
        ({"device": "gpu"}, "cannot be used"),
        ({"device": "meta"}, "cannot be used"),
    ],
)
def test_a_wrong_request_starts_nothing(run, tmp_path, options, said):
    with pytest.raises(RequestError, match=said):
        run(**options)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("ask", [lambda **options: lab.reproduce("made-up", **options), reproduce_all])
def test_fewer_than_no_processes_are_refused(run, ask):
    with pytest.raises(RequestError, match="workers is '-1'"):
        ask(workers=-1)


def test_a_file_in_the_place_of_all_is_refused_before_anything_is_run(run, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match="lies below, a file"):
        reproduce_all(out=tmp_path / "file", workers=0)
    assert MADE == []


def test_a_measurement_whose_numbers_are_gone_is_made_again(run, tmp_path):
    run()
    next((tmp_path / "runs").glob("*/double-0-*/measured.json")).unlink()
    assert [str(verdict) for verdict in run().verdicts] == ["holds", "does not hold"]
    assert MADE == [0, 1, 0]


def test_numbers_that_cannot_be_judged_are_named_in_one_line(run, tmp_path):
    run()
    next((tmp_path / "runs").glob("*/double-0-*/measured.json")).write_text("{}", encoding="utf-8")
    with pytest.raises(JobError, match=r"claim 1 of made-up cannot be judged.*KeyError: 'value'"):
        run()


def test_numbers_of_numpy_and_torch_are_kept_as_plain_ones(tmp_path):
    job = measuring.job(Measurement("own", _arrays), tmp_path, None, "cpu")
    measuring.measure(job, None, lambda step: None)
    assert measuring.read(job.directory) == {"a": [0, 1], "b": {"c": 1.5, "d": None}}


def _arrays(context):
    context.progress(float("nan"))
    return {"a": np.arange(2), "b": {"c": torch.tensor(1.5), "d": np.float32("nan")}}


def test_time_that_was_spent_is_known_after_an_interruption(run, tmp_path):
    run()
    before = clocked(tmp_path / "runs/reproduce-made-up-quick")
    STOP.append(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        run(seeds=3)
    assert clocked(tmp_path / "runs/reproduce-made-up-quick") == before > 0


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
