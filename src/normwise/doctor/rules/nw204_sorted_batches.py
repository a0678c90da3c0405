"""NW204: batches that hold one class only."""

from __future__ import annotations

import math

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.finding import Severity
from normwise.doctor.rules.judging import TUNED, Seen, rule
from normwise.doctor.rules.layers import percent

SAME = 0.9
EXAMPLES = 8
BALANCED = 0.5


def _see(training: Training, evidence: Evidence) -> Seen | None:
    watched = training.watched
    targets, constant = watched.targets, watched.constant
    if targets is None or targets.same is None or (targets.classes or 0) < 2 or watched.inputs.examples < EXAMPLES:
        return None
    if targets.same < SAME or constant is None or constant < BALANCED * math.log(targets.classes or 2):
        return None
    return Seen(
        f"The batches are sorted: in a batch {percent(targets.same)} of the examples are of one class, of "
        f"{targets.classes} in all. The network learns to answer the class of the last batch and forgets the others, "
        "so that its losses say nothing. Shuffle the examples (DataLoader(…, shuffle=True)).",
        since_step=1,
        evidence={"same": targets.same, "classes": targets.classes},
        weight=0.9,
        severity=Severity.CRITICAL if training.outcome.learned is False else Severity.WARNING,
    )


RULE = rule(
    _see,
    always=True,
    id="NW204",
    name="sorted-batches",
    meaning="Examples come sorted by class, so that a batch holds one class only. Every step unlearns what the last "
    "one learned, and batch normalization's moments are those of one class.",
    evidence="The largest share of one class within a batch, and the loss of the best constant prediction over all.",
    threshold="At least 90 % in batches of eight examples or more, while the classes are balanced over all batches: "
    "the entropy of the targets is at least half of that of equal shares. The loss of such batches says nothing, so "
    "it is a warning whatever the outcome.",
    source=f"Ioffe and Szegedy 2015, section 4.2.1: shuffle more thoroughly. 90 %: {TUNED}.",
    remedies=(),
)
