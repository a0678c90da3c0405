"""NW406: a momentum that means the other convention, or that is too small for so few steps."""

from __future__ import annotations

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.examination import Examination
from normwise.doctor.finding import Severity
from normwise.doctor.rules.evaluation import batch_norms, eval_gap, harm, names, norm_rule
from normwise.doctor.rules.judging import TUNED, Seen
from normwise.doctor.rules.layers import named, percent
from normwise.doctor.rules.nw402_stale_statistics import INITIAL, initial_share, stale

LARGE, SMALL = 0.9, 0.05
LEFT = 0.2
"""The share of the initial values after a training that is worth a word where nobody evaluated it."""


def _examine(found: Examination) -> Seen | None:
    cost = harm(found)
    if cost is None:
        return None
    large = [norm for norm in found.norms if norm.tracks and (norm.momentum or 0.0) >= LARGE]
    if large:
        momentum = max(norm.momentum or 0.0 for norm in large)
        return Seen(
            f"{_large(momentum, names(large))} So {cost.words}.",
            where=names(large),
            evidence={"momentum": momentum, **cost.evidence},
            weight=0.9,
            severity=cost.severity,
        )
    small = [norm for norm in stale(found) if not norm.untouched and norm.momentum and norm.momentum < SMALL]
    if not small:
        return None
    norm = max(small, key=lambda norm: norm.weight)
    return Seen(
        f"{_small(norm.momentum or 0.0, norm.batches or 0, norm.weight, names(small))} Now {cost.words}.",
        where=names(small),
        evidence={"momentum": norm.momentum, "batches": norm.batches, "initial": norm.weight, **cost.evidence},
        weight=0.8,
        severity=cost.severity,
    )


def _see(training: Training, evidence: Evidence) -> Seen | None:
    gap = eval_gap(training)
    momenta = {call.layer: call.facts.get("momentum") for call in batch_norms(training) if call.facts.get("tracks")}
    large = {layer: momentum for layer, momentum in momenta.items() if momentum is not None and momentum >= LARGE}
    cost = {} if gap is None else gap.evidence
    if large:
        return Seen(
            _large(max(large.values()), tuple(large)) + ("" if gap is None else f" So {gap.words}."),
            where=tuple(large),
            evidence={"momentum": max(large.values()), **cost},
            weight=0.9,
            severity=Severity.INFO if gap is None else Severity.WARNING,
        )
    left = {layer: share for layer, share in initial_share(training).items() if (momenta.get(layer) or 1.0) < SMALL}
    few = {layer: share for layer, share in left.items() if share > (LEFT if gap is None else INITIAL)}
    if not few:
        return None
    layer = max(few, key=lambda each: few[each])
    momentum = momenta[layer] or 0.0
    return Seen(
        _small(momentum, training.watched.steps, few[layer], tuple(few)) + ("" if gap is None else f" So {gap.words}."),
        where=tuple(few),
        evidence={"momentum": momentum, "steps": training.watched.steps, "initial": few[layer], **cost},
        weight=0.8,
        severity=Severity.INFO if gap is None else Severity.WARNING,
    )


def _large(momentum: float, layers: tuple[str, ...]) -> str:
    return (
        f"The momentum {momentum:g} of {named(layers)} is the weight of the newest batch in PyTorch, so that the "
        f"running statistics are those of the last batch alone; in Keras and JAX it is the weight of the past. Write "
        f"momentum={1 - momentum:.3g}."
    )


def _small(momentum: float, batches: int, left: float, layers: tuple[str, ...]) -> str:
    return (
        f"The momentum {momentum:g} of {named(layers)} is too small for {batches} steps: {percent(left)} of the "
        "running statistics are still the initial mean 0 and variance 1. Write momentum=0.1, or None for the average "
        "of all batches, or estimate the statistics at the end."
    )


RULE = norm_rule(
    _examine,
    _see,
    id="NW406",
    name="momentum-convention",
    meaning="In PyTorch the momentum of batch normalization is the weight of the newest batch in the running "
    "statistics; in Keras and JAX it is the weight of the past, so that their 0.99 is 0.01 here. A large one keeps the "
    "last batch alone, a small one needs many steps before it leaves the initial mean 0 and variance 1.",
    evidence="The momentum of each layer, and the share (1 − momentum)^steps of the initial values.",
    threshold=f"A momentum of {LARGE} or more; or one below {SMALL} that leaves more than {percent(INITIAL)} of the "
    f"initial values. Information ({percent(LEFT)} left) unless evaluation mode is worse beyond noise.",
    source="torch.nn.BatchNorm2d and keras.layers.BatchNormalization, which define it in opposite ways. The numbers: "
    f"{TUNED}.",
    remedies=("estimate-population",),
)
