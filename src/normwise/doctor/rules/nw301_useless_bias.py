"""NW301: a bias that the normalization behind it takes away."""

from __future__ import annotations

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.finding import Severity
from normwise.doctor.rules.judging import Seen, rule
from normwise.doctor.rules.layers import named


def _see(training: Training, evidence: Evidence) -> Seen | None:
    calls = training.watched.calls
    readers: dict[int, list[str]] = {}
    for call in calls:
        for place in call.feeds:
            readers.setdefault(place, []).append(call.kind)
    useless = [
        calls[place].layer
        for place, kinds in readers.items()
        if set(kinds) == {"batch_norm"} and calls[place].kind in ("linear", "conv") and calls[place].facts.get("bias")
    ]
    if not useless:
        return None
    return Seen(
        f"The bias of {named(useless)} does nothing: batch normalization behind it subtracts the mean, and has a bias "
        "β of its own. It is harmless; bias=False saves the parameters.",
        where=tuple(dict.fromkeys(useless)),
        evidence={"layers": len(set(useless))},
        weight=0.05,
        severity=Severity.INFO,
    )


RULE = rule(
    _see,
    always=True,
    id="NW301",
    name="useless-bias",
    meaning="Batch normalization subtracts the mean of each channel, and with it any bias of the map before. The bias "
    "gets no gradient, costs a little memory, and does no harm.",
    evidence="Linear maps and convolutions with a bias whose output goes to batch normalizations only.",
    threshold="Any; always information.",
    source="Ioffe and Szegedy 2015, section 3.2.",
    remedies=(),
)
