"""NW305: one layer that is called at several places."""

from __future__ import annotations

from collections import Counter

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.finding import Severity
from normwise.doctor.rules.judging import Seen, rule
from normwise.doctor.rules.layers import listed, some

KINDS = ("linear", "conv", "batch_norm", "normalization")


def _see(training: Training, evidence: Evidence) -> Seen | None:
    calls = Counter(call.layer.partition("#")[0] for call in training.watched.calls if call.kind in KINDS)
    shared = {layer: count for layer, count in calls.items() if count > 1}
    if not shared:
        return None
    norms = {call.layer.partition("#")[0] for call in training.watched.calls if call.kind == "batch_norm"}
    mixed = [layer for layer in shared if layer in norms]
    return Seen(
        f"{some(f'{layer} is called {count} times' for layer, count in shared.items())} in one forward"
        + (
            f"; {listed(mixed)} mixes the statistics of {'its' if len(mixed) == 1 else 'their'} places, which "
            "evaluation mode then uses in all of them. Make a layer of its own for each place."
            if mixed
            else ", with the same weights."
        ),
        where=tuple(shared),
        evidence={"calls": shared},
        weight=0.05,
        severity=Severity.INFO,
    )


RULE = rule(
    _see,
    always=True,
    id="NW305",
    name="shared-layer",
    meaning="A layer that is called at several places of a forward has one set of weights for all of them. That may be "
    "meant (twins, recurrence); of a batch normalization it mixes the statistics of different values.",
    evidence="How often each layer that normalizes or has weights is called in the first forward.",
    threshold="More than once; always information.",
    source="The definition of running statistics: one mean and one variance per channel.",
    remedies=(),
)
