"""NW403: running statistics that are not finite."""

from __future__ import annotations

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.examination import Examination
from normwise.doctor.finding import Severity
from normwise.doctor.outcome import Status
from normwise.doctor.rules.evaluation import harm, names, norm_rule
from normwise.doctor.rules.judging import Seen
from normwise.doctor.rules.layers import named


def _examine(found: Examination) -> Seen | None:
    broken, cost = [norm for norm in found.norms if not norm.finite], harm(found)
    if not broken:
        return None
    return Seen(
        f"The running statistics of {named(names(broken))} hold NaN, infinity or a negative variance, from a batch "
        "that did; all later updates keep it, and evaluation mode uses it"
        + (f": {cost.words}." if cost else ". No output shows it."),
        where=names(broken),
        evidence={} if cost is None else cost.evidence,
        weight=1.0,
        severity=Severity.INFO if cost is None else Severity.CRITICAL,
    )


def _see(training: Training, evidence: Evidence) -> Seen | None:
    steps = [
        (observation.step, norm.layer)
        for observation in training.watched.observations
        for norm in observation.norms
        if not norm.finite
    ]
    if not steps:
        return None
    layers, symptom = tuple(dict.fromkeys(layer for _, layer in steps)), training.outcome.status is Status.DIVERGED
    return Seen(
        f"The running statistics of {named(layers)} hold NaN or infinity since step {steps[0][0]}"
        + (", as the training diverged." if symptom else ": in evaluation mode the network will put out nothing else."),
        where=layers,
        since_step=steps[0][0],
        weight=0.1 if symptom else 1.0,
        severity=Severity.INFO if symptom else Severity.CRITICAL,
    )


RULE = norm_rule(
    _examine,
    _see,
    id="NW403",
    name="poisoned-statistics",
    meaning="One batch with NaN, infinity or values too large to be squared spoils the running statistics for good: a "
    "running average never forgets it. Training goes on, since it uses the moments of each batch; evaluation does not.",
    evidence="Running means and variances.",
    threshold="Any that is not finite, or a negative variance. A warning needs that evaluation mode is worse, or a "
    "training that did not diverge by itself.",
    source="The definition of a running average; normwise's own layers leave such batches out.",
    remedies=("estimate-population",),
)
