"""NW304: two normalizations in a row."""

from __future__ import annotations

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.finding import Severity
from normwise.doctor.rules.judging import Seen, rule
from normwise.doctor.rules.layers import some

KINDS = ("batch_norm", "normalization")


def _see(training: Training, evidence: Evidence) -> Seen | None:
    calls = training.watched.calls
    pairs = [
        (calls[place].layer, call.layer)
        for call in calls
        if call.kind in KINDS
        for place in call.feeds
        if calls[place].kind in KINDS
    ]
    if not pairs:
        return None
    return Seen(
        f"{some(f'{second} normalizes what {first} has just normalized' for first, second in pairs)}. One is enough.",
        where=tuple(dict.fromkeys(layer for pair in pairs for layer in pair)),
        evidence={"pairs": [list(pair) for pair in pairs]},
        weight=0.05,
        severity=Severity.INFO,
    )


RULE = rule(
    _see,
    always=True,
    id="NW304",
    name="repeated-normalization",
    meaning="A normalization takes away scale and shift of the one before it, whose γ and β then do nothing.",
    evidence="The order of calls: a normalization whose input is the output of another.",
    threshold="Any; always information.",
    source="The equations: BN(γx + β) = BN(x) for γ > 0, up to ε.",
    remedies=(),
)
