"""NW409: a batch normalization whose γ is 0 everywhere."""

from __future__ import annotations

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.examination import Examination
from normwise.doctor.finding import Severity
from normwise.doctor.rules.evaluation import batch_norms, failed, names, norm_rule
from normwise.doctor.rules.judging import Seen
from normwise.doctor.rules.layers import named


def _examine(found: Examination) -> Seen | None:
    zero = [norm for norm in found.norms if norm.zero_gamma == 1]
    if not zero:
        return None
    bad = found.is_guessing
    return Seen(
        f"γ of {named(names(zero))} is 0 in every channel, so that what comes out is the same for every input"
        + (
            f", and the network is no better than guessing: {_written(found)}."
            if bad
            else ". At the end of a residual branch that is how it begins; the branch has not learned anything yet."
        ),
        where=names(zero),
        evidence={"layers": len(zero)},
        weight=0.9,
        severity=Severity.WARNING if bad else Severity.INFO,
    )


def _written(found: Examination) -> str:
    metric = found.judged_by
    return f"{metric.label} {metric.write(found.value(found.batch))}"


def _see(training: Training, evidence: Evidence) -> Seen | None:
    calls = training.watched.calls
    zero = [call for call in batch_norms(training) if call.facts.get("zero_gamma") == 1]
    feeding = {place for call in calls for place in call.feeds}
    between = [call for call in zero if calls.index(call) in feeding]  # a residual's last layer feeds a sum
    if not zero:
        return None
    bad = bool(between) and failed(training)
    shown = between if bad else zero
    return Seen(
        f"γ of {named(call.layer for call in shown)} is 0 in every channel"
        + (
            ": what comes out is the same for every input, and no gradient gets through."
            if bad
            else " at the start, as one makes the last normalization of a residual branch begin."
        ),
        where=tuple(call.layer for call in shown),
        since_step=1,
        evidence={"layers": len(shown)},
        weight=0.95,
        severity=Severity.WARNING if bad else Severity.INFO,
    )


RULE = norm_rule(
    _examine,
    _see,
    id="NW409",
    name="zero-gamma",
    meaning="γ scales what batch normalization puts out. Where it is 0 in every channel the output is β whatever the "
    "input is, and no gradient passes to the layers before. At the end of a residual branch that is a way to begin, "
    "because the shortcut carries signal and gradient; anywhere else it cuts the network in two.",
    evidence="The share of channels with γ = 0, and what the layer feeds.",
    threshold="γ = 0 in every channel: information. A warning where the network is no better than guessing, or the "
    "training did not learn and the layer feeds another one directly.",
    source="Goyal et al. 2017, arXiv:1706.02677, section 5.1: γ = 0 for the last normalization of a residual block.",
    remedies=(),
)
