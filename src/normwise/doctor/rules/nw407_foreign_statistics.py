"""NW407: running statistics of other data."""

from __future__ import annotations

from normwise.doctor.examination import Examination, ExaminedNorm
from normwise.doctor.rules.evaluation import FEW_VALUES, harm, names, norm_rule, nothing_seen, worst
from normwise.doctor.rules.judging import TUNED, Seen
from normwise.doctor.rules.layers import named, number
from normwise.doctor.rules.nw402_stale_statistics import stale
from normwise.doctor.rules.nw406_momentum_convention import LARGE

GAP, RATIO = 0.3, 1.0
NOISES = 3.0


def _examine(found: Examination) -> Seen | None:
    old, cost = {norm.layer for norm in stale(found)}, harm(found)
    foreign = [norm for norm in found.norms if norm.layer not in old and _is_foreign(norm)]
    if not foreign or cost is None:
        return None
    gap, ratio = worst(foreign, "gap") or 0.0, worst(foreign, "ratio") or 0.0
    return Seen(
        f"The running statistics of {named(names(foreign))} belong to other data: means up to {number(gap)} "
        f"deviations and variances up to {number(2.0**ratio)} times from those of the batches. Such come from another "
        f"domain, from a forward in training mode on made-up inputs, or from weights that have changed since (averaged "
        f"ones). So {cost.words}.",
        where=names(foreign),
        evidence={"gap": gap, "log2_ratio": ratio, **cost.evidence},
        weight=0.7,
        severity=cost.severity,
    )


def _is_foreign(norm: ExaminedNorm) -> bool:
    if not norm.tracks or not norm.finite or (norm.momentum or 0.0) >= LARGE:
        return False
    mean = (norm.mean_gap or 0.0) > max(GAP, NOISES * (norm.noise or 0.0))
    return mean or (norm.values >= FEW_VALUES and (norm.ratio or 0.0) > RATIO)


RULE = norm_rule(
    _examine,
    nothing_seen,
    id="NW407",
    name="foreign-statistics",
    meaning="Running statistics that were updated often enough, and are not the moments of the data at hand: those are "
    "from another domain, or a forward in training mode with made-up inputs went into the statistics, or the weights "
    "have changed since they were collected.",
    evidence="The distance of the running statistics from the moments of the batches, by layer.",
    threshold=f"Means more than {GAP} deviations (and {NOISES:.0f} times what averaging few values explains) away, "
    "over channels, or a variance by more than a factor of 2 (not with few values); and evaluation mode is worse than "
    "with statistics estimated anew, or the moments of batches, beyond noise.",
    source="Li et al. 2016, arXiv:1603.04779: statistics of the other domain alone adapt a network; Izmailov et al. "
    f"2018, arXiv:1803.05407, section 3.2: averaged weights need new statistics. The numbers: {TUNED}.",
    remedies=("estimate-population",),
)
