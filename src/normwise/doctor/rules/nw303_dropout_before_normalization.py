"""NW303: dropout in front of a batch normalization."""

from __future__ import annotations

from collections.abc import Sequence

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.finding import Severity
from normwise.doctor.rules.judging import Seen, rule
from normwise.doctor.rules.layers import listed, named
from normwise.probes.watched import Call

PASSED = ("linear", "conv", "activation", "pool")


def _see(training: Training, evidence: Evidence) -> Seen | None:
    calls = training.watched.calls
    found = {
        call.layer: dropout
        for call in calls
        if call.kind == "batch_norm" and call.facts.get("tracks") and (dropout := _dropout(call, calls)) is not None
    }
    if not found:
        return None
    return Seen(
        f"Dropout ({listed(found.values())}) runs before the batch normalization in {named(found)}: it makes the "
        "variance larger in training than in evaluation, and the running statistics are those of training. Put it "
        "behind the last normalization.",
        where=tuple(found),
        evidence={"dropouts": list(dict.fromkeys(found.values()))},
        weight=0.05,
        severity=Severity.INFO,
    )


def _dropout(call: Call, calls: Sequence[Call]) -> str | None:
    """The dropout before a call, with maps, activations and pooling between the two at most."""
    for place in call.feeds:
        before = calls[place]
        if before.kind == "dropout":
            return before.layer if (before.facts.get("p") or 0.0) > 0 else None
        if before.kind in PASSED and (found := _dropout(before, calls)) is not None:
            return found
    return None


RULE = rule(
    _see,
    always=True,
    id="NW303",
    name="dropout-before-normalization",
    meaning="Dropout keeps the mean of its input and makes its variance larger, in training only. A batch "
    "normalization behind it collects that larger variance, and divides by it in evaluation, where there is no "
    "dropout.",
    evidence="The order of calls: a dropout with p > 0, then linear maps, activations or pooling at most, then a batch "
    "normalization.",
    threshold="Any; always information.",
    source="Li et al. 2019, arXiv:1801.05134: variance shift.",
    remedies=(),
)
