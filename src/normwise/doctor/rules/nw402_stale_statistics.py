"""NW402: running statistics that were never updated, or that still hold their initial values."""

from __future__ import annotations

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.examination import Examination, ExaminedNorm
from normwise.doctor.finding import Severity
from normwise.doctor.rules.evaluation import batch_norms, eval_gap, harm, names, norm_rule, worst
from normwise.doctor.rules.judging import TUNED, Seen
from normwise.doctor.rules.layers import named, percent

INITIAL = 0.05
"""The share of the initial values in the statistics."""
GAP, RATIO = 0.1, 0.5
"""Distance from the data's moments, in deviations and in powers of two of the variance, that is one."""


def stale(found: Examination) -> list[ExaminedNorm]:
    """The layers whose statistics still are those of a new layer, or hold some of them, and do not fit the data."""
    missing = {name.rpartition(".")[0] for name in found.missing if name.endswith(("running_mean", "running_var"))}
    return [
        norm
        for norm in found.norms
        if norm.tracks and (norm.untouched or norm.weight > INITIAL or norm.layer in missing) and is_off(norm)
    ]


def is_off(norm: ExaminedNorm) -> bool:
    """Whether statistics are away from the moments of the data."""
    return (norm.gap or 0.0) > GAP or (norm.ratio or 0.0) > RATIO


def _examine(found: Examination) -> Seen | None:
    old, cost = stale(found), harm(found)
    if not old or cost is None:
        return None
    return Seen(
        f"The running statistics of {named(names(old))} {_why(found, old)}: {cost.words}.",
        where=names(old),
        evidence={"initial": max(norm.weight for norm in old), "gap": worst(old, "gap"), **cost.evidence},
        weight=0.95,
        severity=cost.severity,
    )


def _why(found: Examination, old: list[ExaminedNorm]) -> str:
    if found.missing:
        return "were not in the weights' file, so that they are those of a new layer"
    if all(norm.untouched for norm in old):
        return "were never updated: mean 0 and variance 1, as in a new layer"
    norm = max(old, key=lambda norm: norm.weight)
    return (
        f"are too young: {norm.batches} batches with momentum {norm.momentum:g} leave {percent(norm.weight)} of the "
        "initial mean 0 and variance 1 in them"
    )


def initial_share(training: Training) -> dict[str, float]:
    """The share of the initial values in the statistics of each layer at the end of a training."""
    found = {}
    for call in batch_norms(training):
        momentum, batches = call.facts.get("momentum"), call.facts.get("batches")
        if call.facts.get("tracks") and momentum is not None and batches is not None:
            made = training.watched.steps if call.facts.get("training") else 0
            found[call.layer] = abs(1 - momentum) ** (batches + made)
    return found


def _see(training: Training, evidence: Evidence) -> Seen | None:
    gap = eval_gap(training)
    old = {layer: share for layer, share in initial_share(training).items() if share > INITIAL}
    if gap is None or not old:
        return None
    return Seen(
        f"The running statistics of {named(old)} are too young: after {training.watched.steps} steps "
        f"{percent(max(old.values()))} of them are still the initial mean 0 and variance 1, and evaluation mode uses "
        f"them: {gap.words}.",
        where=tuple(old),
        evidence={"initial": max(old.values()), **gap.evidence},
        weight=0.95,
        severity=Severity.CRITICAL,
    )


RULE = norm_rule(
    _examine,
    _see,
    id="NW402",
    name="stale-statistics",
    meaning="In evaluation mode batch normalization uses running statistics, which start at mean 0 and variance 1 and "
    "move towards the moments of each batch by their momentum. Where they were never updated, or too few times, or "
    "were not saved with the weights, the network is given other values than it was trained with.",
    evidence="The share (1 − momentum)^batches of the initial values in the statistics, and their distance from the "
    "moments of the data.",
    threshold=f"Statistics as in a new layer, not in the weights' file, or with more than {percent(INITIAL)} of the "
    f"initial values; a mean more than {GAP} deviations, or a variance more than a factor of √2, from the data's; and "
    "evaluation mode is worse than with statistics estimated anew, or the moments of batches, beyond noise.",
    source="Ioffe and Szegedy 2015, section 3.1: moments of the population for inference; pytorch/pytorch#4741 and "
    f"#5406. {percent(INITIAL)}: {TUNED}.",
    remedies=("estimate-population",),
)
