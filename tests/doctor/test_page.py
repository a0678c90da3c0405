"""The report of a diagnosis."""

from __future__ import annotations

import functools
import re
from html import unescape

import pytest

from normwise.doctor.page import page, write
from normwise.report import render
from synthetic_diagnosis import ALL, CHANGE, VERDICT, dead


@functools.cache
def shown(name):
    return page(ALL[name](), command="normwise doctor --data digits")


def figures(name):
    return {figure.name: figure for group in shown(name).groups for figure in group.figures}


def test_the_verdict_comes_first_then_evidence_treatments_findings_and_settings():
    written = render(shown("deep"))
    text = unescape(re.sub("<[^>]*>", "", written.partition("<body>")[2]))
    parts = (VERDICT[:40], CHANGE, "Gradient by layer", "Update over weight by layer", "Saturated units by layer")
    parts += ("Loss over training", "Accuracy over training", "helped, recommended", "The gradient of the first layers")
    places = [text.find(part) for part in (*parts, "batch size", "normwise doctor --data")]
    assert -1 not in places
    assert places == sorted(places)


def test_treatments_are_ordered_by_what_they_scored_with_nothing_first():
    table = shown("deep").groups[1].table
    assert [row[0] for row in table.rows] == [
        "nothing", "batch-normalization + relu-he", "batch-normalization", "tanh-xavier", "relu-he", "random", "lr*100",
        "adam",
    ]  # fmt: skip
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["batch-normalization"] == ["norm = batch", "helped", "93.0 ± 0.6", "+81.8 ± 5.0"]
    assert rows["relu-he"][1] == "within noise, 1 of 3 diverged"
    assert rows["lr*100"][1] == "worse, 3 of 3 diverged"
    assert rows["adam"][1:] == ["dropped after one seed", "10.8", "-0.4"]


def test_findings_have_where_since_evidence_and_remedies():
    entry = shown("deep").entries[0]
    assert (entry.code, entry.heading, entry.tone, entry.label) == ("NW101", "vanishing-gradient", "alarm", "critical")
    assert entry.facts[:3] == [("since step", "1"), ("ratio", "4.1·10⁷"), ("first", "2.2·10⁻¹⁰")]
    assert dict(entry.lists)["where"] == ["hidden1", "hidden2", "hidden3"]
    assert [entry.tone for entry in shown("deep").entries] == ["alarm", "warning", "quiet"]


def test_the_heat_maps_say_where_the_gradient_vanishes_and_where_nothing_is_left():
    said = figures("deep")["gradient-by-layer"].alt
    assert "At step 1: least in hidden1" in said
    assert re.search(r"the first layer has \d·10⁻⁸ of the last", said)
    died = figures("dead")
    assert "Exactly 0 at some steps in features.0, features.2, features.4, features.6." in died["gradient-by-layer"].alt
    assert "most in features.0.relu, 100 %" in died["dead-by-layer"].alt
    assert "saturated-by-layer" not in died
    assert "first at step 160" in figures("diverged")["gradient-by-layer"].alt


def test_a_loop_of_ones_own_has_no_metric_no_treatments_and_no_settings():
    headings = ["Evidence", "Findings", "Settings and machine", "Make this report again"]
    assert shown("dead").headings == headings
    assert "metric" not in figures("dead")
    assert shown("dead").title == "Diagnosis of a training"


def test_a_healthy_network_has_no_findings_and_no_advice():
    assert (shown("healthy").entries, shown("healthy").advice) == ([], "")
    assert "saturated-by-layer" not in figures("healthy")  # none is


def test_an_examined_network_shows_three_ways_and_the_gaps():
    found = figures("examined")
    assert list(found) == ["metric-by-moments", "loss-by-moments", "gap-by-normalization"]
    assert "as stored: 41.2 %. re-estimated: 89.1 %." in found["metric-by-moments"].alt
    assert "The 40 of 53 normalizations" in figures("many-norms")["gap-by-normalization"].caption


@pytest.mark.parametrize("name", ALL)
def test_every_diagnosis_has_a_page_of_moderate_size(name):
    assert len(render(shown(name)).encode()) < 300_000


def test_the_page_is_written(tmp_path):
    write(dead(), tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == render(page(dead()))
