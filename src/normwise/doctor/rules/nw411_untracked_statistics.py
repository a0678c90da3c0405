"""NW411: batch normalization without running statistics."""

from __future__ import annotations

from collections.abc import Sequence

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.examination import Examination
from normwise.doctor.finding import Severity
from normwise.doctor.rules.evaluation import MANY, against_estimated, batch_norms, names, norm_rule
from normwise.doctor.rules.judging import Seen
from normwise.doctor.rules.layers import named

ADVICE = "Make it with track_running_stats=True, and estimate the statistics once with nw.estimate_population."


def _examine(found: Examination) -> Seen | None:
    untracked = [norm for norm in found.norms if not norm.tracks]
    if not untracked:
        return None
    cost = against_estimated(found, least=MANY)
    return Seen(
        _words(names(untracked)) + (f": {cost.words}. {ADVICE}" if cost else "."),
        where=names(untracked),
        evidence={"values": min(norm.values for norm in untracked), **({} if cost is None else cost.evidence)},
        weight=0.85,
        severity=Severity.INFO if cost is None else cost.severity,
    )


def _see(training: Training, evidence: Evidence) -> Seen | None:
    untracked = [call.layer for call in batch_norms(training) if call.facts.get("tracks") is False]
    if not untracked:
        return None
    return Seen(_words(untracked) + ".", where=tuple(untracked), weight=0.1, severity=Severity.INFO)


def _words(layers: Sequence[str]) -> str:
    return (
        f"In evaluation mode too, {named(layers)} normalize{'s' if len(layers) == 1 else ''} with the moments of the "
        "batch, for want of running statistics: what the network says of an example depends on the others in its batch"
    )


RULE = norm_rule(
    _examine,
    _see,
    id="NW411",
    name="untracked-statistics",
    meaning="With track_running_stats=False batch normalization uses the moments of the batch in evaluation mode as "
    "well. What the network says of an example depends on the others in its batch, and of a single one it says "
    "nothing.",
    evidence="Which layers have no running statistics; loss and metric as they are, and with statistics estimated from "
    "other batches.",
    threshold="Information; a warning where statistics estimated from other batches are better beyond noise, and much.",
    source="torch.nn.BatchNorm2d, track_running_stats.",
    remedies=("estimate-population",),
)
