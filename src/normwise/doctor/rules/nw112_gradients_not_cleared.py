"""NW112: gradients of earlier steps are still there."""

from __future__ import annotations

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.rules.judging import Seen, certain, rule


def _see(training: Training, evidence: Evidence) -> Seen | None:
    if not training.watched.kept_gradients:
        return None
    return Seen(
        "The gradients are never cleared: each step adds its own to those of all steps before, so that the network "
        "moves along the sum of everything it has seen. Call optimizer.zero_grad() before loss.backward().",
        since_step=2,
        weight=1.0,
        strong=True,
        severity=certain(training),
    )


RULE = rule(
    _see,
    always=True,
    id="NW112",
    name="gradients-not-cleared",
    meaning="loss.backward() adds to the gradients that are there. Without optimizer.zero_grad() a step goes along the "
    "sum of all gradients since the start: it grows, and points to where the network was long ago.",
    evidence="Whether the gradients of a step were still there when those of the next were added.",
    threshold="Any. Where more than 90 % of the loss of guessing was learned away it is information only.",
    source="TrainCheck (Jiang et al., OSDI 2025), case stackoverflow-60335387.",
    remedies=(),
)
