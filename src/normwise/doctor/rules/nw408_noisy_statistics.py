"""NW408: running statistics that are averaged over too few values."""

from __future__ import annotations

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.examination import Examination
from normwise.doctor.finding import Severity
from normwise.doctor.rules.evaluation import (
    against_estimated,
    batch_norms,
    eval_gap,
    names,
    norm_rule,
    values_by_layer,
    worst,
)
from normwise.doctor.rules.judging import TUNED, Seen
from normwise.doctor.rules.layers import named, percent
from normwise.doctor.rules.nw402_stale_statistics import stale

NOISE = 0.1


def _examine(found: Examination) -> Seen | None:
    old, cost = {norm.layer for norm in stale(found)}, against_estimated(found)
    noisy = [norm for norm in found.norms if norm.layer not in old and (norm.noise or 0.0) > NOISE]
    if not noisy or cost is None:
        return None
    noise = worst(noisy, "noise") or 0.0
    return Seen(
        f"The running means of {named(names(noisy))} are off by {percent(noise)} of a channel's deviation, because "
        f"they average few values: {cost.words}.",
        where=names(noisy),
        evidence={"noise": noise, "values": min(norm.values for norm in noisy), **cost.evidence},
        weight=0.5,
        severity=cost.severity,
    )


def _see(training: Training, evidence: Evidence) -> Seen | None:
    gap, values = eval_gap(training), values_by_layer(training)
    noisy: dict[str, float] = {}
    for call in batch_norms(training):
        momentum, count = call.facts.get("momentum"), values.get(call.layer)
        if call.facts.get("tracks") and momentum and momentum < 2 and count:
            noisy[call.layer] = (momentum / (2 - momentum) / count) ** 0.5
    noisy = {layer: noise for layer, noise in noisy.items() if noise > NOISE}
    if gap is None or not noisy:
        return None
    return Seen(
        f"The running means of {named(noisy)} are off by {percent(max(noisy.values()))} of a channel's deviation, "
        f"because they average few values: {gap.words}.",
        where=tuple(noisy),
        evidence={"noise": max(noisy.values()), **gap.evidence},
        weight=0.5,
        severity=Severity.WARNING,
    )


RULE = norm_rule(
    _examine,
    _see,
    id="NW408",
    name="noisy-statistics",
    meaning="A running average with momentum α remembers about 2/α batches. Where these hold few values, the running "
    "mean is off by chance, and so is everything that evaluation mode normalizes with it.",
    evidence="√(momentum/(2 − momentum)/values), the deviation of the running mean in deviations of its channel, with "
    "the values per channel of a batch.",
    threshold=f"More than {NOISE} deviations, and evaluation mode is worse than with statistics estimated anew.",
    source=f"The variance of an exponential average of independent means. {NOISE}: {TUNED}.",
    remedies=("estimate-population", "batch-size*4"),
)
