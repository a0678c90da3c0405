"""NW302: weight decay on γ and β."""

from __future__ import annotations

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.finding import Severity
from normwise.doctor.rules.judging import Seen, rule
from normwise.doctor.rules.layers import listed, number


def _see(training: Training, evidence: Evidence) -> Seen | None:
    optimizer = training.watched.optimizer
    if optimizer is None or not optimizer.decayed:
        return None
    return Seen(
        f"Weight decay ({number(optimizer.weight_decay)}) shrinks γ and β of {listed(optimizer.decayed)}. Give these a "
        "group of their own with weight_decay=0, as most recipes do.",
        where=optimizer.decayed,
        evidence={"weight_decay": optimizer.weight_decay, "layers": len(optimizer.decayed)},
        weight=0.05,
        severity=Severity.INFO,
    )


RULE = rule(
    _see,
    always=True,
    id="NW302",
    name="decayed-normalization",
    meaning="Weight decay pulls γ towards 0, and with it the scale of everything behind the normalization. Of the map "
    "before it decay changes the effective learning rate only, since normalization takes the scale of its weights "
    "away.",
    evidence="Normalizations whose γ or β are in a group of the optimizer with weight decay.",
    threshold="Any; always information: many networks train well so.",
    source="He et al. 2019, arXiv:1812.01187, section 3.1 (no bias decay); Zhang et al. 2019, arXiv:1810.12281.",
    remedies=(),
)
