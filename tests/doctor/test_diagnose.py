"""Diagnoses from end to end, on the digits."""

import json
from types import SimpleNamespace

import pytest

from normwise.doctor import diagnose
from normwise.doctor.checks import refuse_failed
from normwise.doctor.finding import Severity
from normwise.errors import RequestError
from normwise.records.listing import studies

SIGMOIDS = {"model": f"mlp:{','.join(8 * ['20'])}", "activation": "sigmoid", "steps": 120, "eval_every": 30, "seeds": 2}


@pytest.fixture(scope="module")
def notes():
    return []


@pytest.fixture(scope="module")
def found(tmp_path_factory, notes):
    out = tmp_path_factory.mktemp("doctor") / "sigmoids"
    return diagnose("digits", out=out, on_note=notes.append, **SIGMOIDS)


def test_a_deep_sigmoid_network_is_sick_and_batch_normalization_helps(found, notes):
    assert not found.healthy
    assert not found.learned
    assert found.cause.severity is Severity.CRITICAL
    by_name = {each.name: each for each in found.treatments}
    assert found.treatments[0].name == "nothing"
    assert by_name["batch-normalization"].helped
    assert len(by_name["random"].runs) == 2
    assert by_name[found.recommendation.name].helped
    assert found.recommendation.gain > found.recommendation.margin
    assert "batch normalization" in found.verdict
    assert notes[0].startswith("Treating: 6 remedies, about 13 runs, about ")


def test_the_watched_runs_are_those_of_nothing_and_every_run_on_disk_is_in_a_treatment(found):
    nothing = found.treatments[0]
    assert [run.seed for run in nothing.runs] == [0, 1]
    directories = [run.directory for each in found.treatments for run in each.runs]
    held = {path.parent.name for path in found.report.parent.glob("*/done.json")}
    assert {directory.rpartition("/")[2] for directory in directories} == held


def test_a_diagnosis_that_is_asked_for_again_trains_nothing(found, monkeypatch):
    trained = []
    monkeypatch.setattr("normwise.lab.runner.run_all", lambda jobs, *others, **more: trained.extend(jobs))
    again = diagnose("digits", out=found.report.parent, **SIGMOIDS)
    assert again.as_dict() == found.as_dict()
    assert trained == []


def test_it_is_plain_data_and_listed(found):
    plain = json.loads(json.dumps(found.as_dict()))
    assert list(plain) == [
        "study", "healthy", "learned", "cause", "metric", "chance", "findings", "treatments", "recommendation",
        "verdict", "report", "notes",
    ]  # fmt: skip
    assert plain["cause"] == found.findings[0].rule
    (listed,) = studies(found.report.parent.parent)
    assert (listed.status, listed.verdict) == ("finished", found.verdict)
    assert listed.ended == listed.planned
    study = json.loads((found.report.parent / "study.json").read_text())
    assert study["study"] == "doctor"
    assert study["command"].startswith("normwise doctor --data digits --out ")
    assert study["command"].endswith(" --model mlp:20,20,20,20,20,20,20,20")


def test_an_ignored_rule_says_nothing_and_no_remedy_is_tried_where_none_is_wanted(found):
    again = diagnose("digits", out=found.report.parent, treat=False, ignore=found.cause.name, **SIGMOIDS)
    assert found.cause.rule not in [finding.rule for finding in again]
    assert again.treatments == ()
    assert "Nothing was tried: --no-treat was given." in again.verdict


def test_a_healthy_network_is_left_alone(tmp_path):
    found = diagnose(
        "digits", out=tmp_path / "study", activation="relu", init="he", steps=150, eval_every=50, seeds=2, workers=0
    )
    assert (found.healthy, found.learned, found.treatments) == (True, True, ())
    assert found.verdict.startswith("Nothing is wrong: the network learns, validation accuracy 9")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"lr": [0.1, 0.2]}, "lr has several values, 0.1, 0.2; the doctor examines one training"),
        ({"ignore": ["vanishing"]}, "unknown rule 'vanishing'; did you mean 'vanishing-gradient'"),
        ({"budget": "soon"}, "budget is 'soon'; allowed: a time such as 90s"),
        ({"weights": "there-is-none.pt"}, "there-is-none.pt"),
        ({"sharpness": 3}, "unknown option 'sharpness'"),
    ],
)
def test_wrong_requests(tmp_path, options, said):
    with pytest.raises(RequestError, match=said):
        diagnose("digits", out=tmp_path / "study", **options)
    assert not (tmp_path / "study").exists()


def test_a_source_that_changed_is_no_fault_of_the_network():
    reason = "the source of net.py changed while the study ran; run the same command again"
    record = SimpleNamespace(done={"status": "failed", "step": 0, "reason": f"RequestError: {reason}"})
    with pytest.raises(RequestError) as raised:
        refuse_failed([record])
    assert str(raised.value) == reason
