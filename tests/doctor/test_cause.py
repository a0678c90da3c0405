from __future__ import annotations

import pytest

from doctor.evidence import evidence
from normwise.doctor.cause import ranked
from normwise.doctor.finding import Finding, Severity

EVIDENCE = evidence()


def finding(name: str, weight=0.5, severity=Severity.CRITICAL, since_step=1, **numbers) -> Finding:
    return Finding("NW000", name, severity, (), since_step, numbers, weight=weight)


@pytest.mark.parametrize(
    "order",
    [
        [finding("vanishing-gradient"), finding("saturated-units", 0.9)],
        [finding("unscaled-inputs"), finding("learning-rate-too-high", 0.9), finding("non-finite", 0.3)],
        [finding("learning-rate-too-high"), finding("dead-units", 0.9, from_the_start=False)],
        [finding("dead-units", 0.9, from_the_start=True), finding("learning-rate-too-high")],
        [finding("dead-units", 0.9), finding("vanishing-gradient", 0.8), finding("ignores-input", 0.3)],
        [finding("vanishing-gradient", 0.8), finding("dead-units", 0.6)],  # some of the units only
        [finding("output-does-not-fit-loss", 0.6), finding("dead-units", 0.9)],
        [finding("output-does-not-fit-loss", 0.6), finding("parameters-not-updated", 0.9)],
        [finding("gradients-not-cleared", 1.0), finding("unscaled-inputs", 0.95), finding("learning-rate-too-high")],
        [finding("exploding-gradient"), finding("learning-rate-too-high", 0.9), finding("non-finite", 0.3)],
        [finding("non-finite", 1.0, what="input"), finding("unscaled-inputs", 0.9), finding("learning-rate-too-high")],
        [finding("frozen-normalization", 0.8), finding("vanishing-gradient", 0.8)],
        [finding("learning-rate-too-high", 0.9), finding("poisoned-statistics", 1.0)],
        [finding("oscillating-loss", 0.1), finding("unscaled-inputs", 1.0, Severity.INFO)],
        [finding("dead-units", 0.3), finding("overfitting", 0.4, Severity.WARNING, runs=1, of=3)],
        [finding("dead-units", 0.3, runs=3, of=3), finding("unscaled-inputs", 0.4, Severity.WARNING, runs=1, of=3)],
        [finding("unscaled-targets", 0.7, gain=0.6), finding("output-does-not-fit-loss", 0.9)],
        [finding("overfitting", 0.1), finding("unscaled-inputs", 1.0, refuted=True)],
        [finding("unscaled-inputs", 1.0, refuted=True), finding("dead-units", 0.3, refuted=True)],
    ],
    ids=lambda order: order[0].name,
)
def test_the_cause_comes_first(order):
    assert [each.name for each in ranked(order[::-1], EVIDENCE)] == [each.name for each in order]


def test_a_consequence_names_its_cause():
    _, second = ranked([finding("saturated-units"), finding("vanishing-gradient")], EVIDENCE)
    assert second.evidence["follows_from"] == "vanishing-gradient"
    assert second.severity is Severity.INFO


def test_of_a_circle_the_heaviest_is_the_cause():
    circle = [
        finding("vanishing-gradient", 0.8, from_the_start=False),
        finding("learning-rate-too-high", 0.95),
        finding("exploding-gradient", 0.7),
        finding("bad-initialization", 0.5, factor=1e3),
    ]
    names = [each.name for each in ranked(circle, EVIDENCE) if each.severity.is_trouble]
    assert names == ["learning-rate-too-high"]


def test_not_learning_is_said_only_where_nothing_else_is():
    info = finding("unscaled-inputs", severity=Severity.INFO)
    assert ranked([finding("does-not-learn"), info], EVIDENCE)[0].name == "does-not-learn"
    assert [each.name for each in ranked([finding("does-not-learn"), finding("dead-units")], EVIDENCE)] == [
        "dead-units"
    ]


def test_that_more_could_be_learned_is_said_last_of_all():
    more, nothing = finding("learns-less-than-it-could"), finding("does-not-learn")
    assert [each.name for each in ranked([more], EVIDENCE)] == ["learns-less-than-it-could"]
    assert [each.name for each in ranked([more, nothing], EVIDENCE)] == ["does-not-learn"]
    assert [each.name for each in ranked([more, finding("dead-units")], EVIDENCE)] == ["dead-units"]
