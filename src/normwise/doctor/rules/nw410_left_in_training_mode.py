"""NW410: a trained network that is used in training mode."""

from __future__ import annotations

from normwise.doctor.examination import Examination
from normwise.doctor.rules.evaluation import against_stored, norm_rule, nothing_seen
from normwise.doctor.rules.judging import Seen


def _examine(found: Examination) -> Seen | None:
    cost = against_stored(found)
    if not found.was_training or cost is None:
        return None
    return Seen(
        "The network is in training mode, so that what it says of an example depends on the others in its batch: "
        f"{cost.words}. Call net.eval() before it is used.",
        evidence=cost.evidence,
        weight=0.9,
        severity=cost.severity,
    )


RULE = norm_rule(
    _examine,
    nothing_seen,
    id="NW410",
    name="left-in-training-mode",
    meaning="A network in training mode normalizes with the moments of whatever batch it is given. Of few examples, or "
    "examples that are alike, these are not those of the data, and each forward changes the running statistics, too.",
    evidence="Whether the network was handed over in training mode, and loss and metric with the moments of each batch "
    "and in evaluation mode, without dropout in both.",
    threshold="In training mode, and worse with the moments of batches than in evaluation mode beyond noise.",
    source="The definition of the two modes; Ioffe and Szegedy 2015, section 3.1.",
    remedies=(),
)
