from types import SimpleNamespace

import pytest

from normwise.lab import progress
from normwise.lab.compare import Status
from synthetic import record, study


def planned(out, records, arms=("plain", "bn")):
    study = {"data": "digits", "command": "normwise compare", "examples": 1200}
    task = SimpleNamespace(chance=SimpleNamespace(value=0.1))
    runs = [SimpleNamespace(record=lambda run=run: run) for run in records]
    return SimpleNamespace(
        out=out, arms=[SimpleNamespace(name=name) for name in arms], runs=runs, study=study, swept=None, task=task
    )


def test_the_report_of_a_study_that_runs_says_how_far_it_is_and_has_the_curves_so_far(tmp_path):
    records = [*study(["plain", "bn"], seeds=1, steps=300), record("bn", 1, steps=0)]
    records[-1].metrics.clear()
    progress.write_progress(planned(tmp_path, records), Status(1, 3, 700, 1700), records)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Running: 1 of 3 runs ended; 41\N{NO-BREAK SPACE}% of the steps." in html
    assert 'http-equiv="refresh"' in html
    assert 'data-chart="metric"' in html
    assert 'data-chart="loss"' in html
    assert 'class="verdict"' not in html
    assert not (tmp_path / "figures").exists()


def test_before_the_first_evaluation_there_is_a_report_too(tmp_path):
    run = record(steps=0)
    run.metrics.clear()
    progress.write_progress(planned(tmp_path, [run]), Status(0, 1, 0, 100), [run])
    assert "0 of 1 runs ended; 0\N{NO-BREAK SPACE}% of the steps" in (tmp_path / "report.html").read_text(
        encoding="utf-8"
    )


def test_an_arm_with_several_rates_is_shown_at_the_best_so_far(tmp_path, monkeypatch):
    pages = []
    monkeypatch.setattr(progress, "write_page", lambda page, path: pages.append(page))
    slow, quick = record(lr=0.002, steps=300), record(lr=0.5, steps=300)
    progress.write_progress(planned(tmp_path, [slow, quick]), Status(0, 2, 0, 1), [slow, quick])
    (line, _) = pages[0].charts["metric"].lines
    assert pages[0].charts["metric"].level == 0.1
    assert line.y[-1] == quick.metrics[-1]["test"]["accuracy"]


def test_it_is_written_at_most_every_few_seconds(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    tell = progress.ProgressReport(planned(tmp_path, study(["plain"], seeds=1, steps=200), ["plain"]))
    status, report = Status(0, 1, 100, 200), tmp_path / "report.html"
    for later, written in ((9.0, False), (2.0, True), (5.0, False), (6.0, True)):
        now[0] += later
        report.unlink(missing_ok=True)
        tell(status)
        assert report.exists() == written


@pytest.mark.parametrize(("steps", "share"), [(0, 0), (999, 99), (1000, 100)])
def test_a_share_is_never_rounded_up(steps, share):
    assert progress.words(Status(0, 1, steps, 1000)).endswith(f"{share} % of the steps.")
