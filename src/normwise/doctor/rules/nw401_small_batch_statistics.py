"""NW401: too few values per channel for the moments of a batch."""

from __future__ import annotations

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.examination import Examination
from normwise.doctor.finding import Severity
from normwise.doctor.outcome import Status
from normwise.doctor.rules.evaluation import (
    FEW_VALUES,
    HALF,
    against_stored,
    eval_gap,
    failed,
    harm,
    is_poor,
    names,
    norm_rule,
    values_by_layer,
)
from normwise.doctor.rules.judging import TUNED, Seen
from normwise.doctor.rules.layers import named, percent

VERY_FEW = 4


def _examine(found: Examination) -> Seen | None:
    few = [norm for norm in found.norms if 0 < norm.values < FEW_VALUES]
    cost = harm(found) or (against_stored(found) if found.was_training else None)
    poor = is_poor(found)
    if not few or (cost is None and not poor):
        return None
    least = min(norm.values for norm in few)
    metric = found.judged_by
    words = f"{metric.label} is {metric.write(found.best)} at best" if cost is None else cost.words
    return Seen(
        f"A channel of {named(names(few))} has {least} value{'' if least == 1 else 's'} in a batch, too few for a "
        f"mean and a variance: {words}. Use batches of more examples where it is trained, and evaluation mode where "
        "it is used.",
        where=names(few),
        evidence={"values": least, **({"best": found.best} if cost is None else cost.evidence)},
        weight=0.6,
        severity=Severity.WARNING if cost is None else cost.severity,
    )


def _see(training: Training, evidence: Evidence) -> Seen | None:
    few = {layer: values for layer, values in values_by_layer(training).items() if values < FEW_VALUES}
    if not few:
        return None
    least, gap = min(few.values()), eval_gap(training)
    slow = least <= VERY_FEW and training.outcome.status is Status.SLOW
    if gap is None and not failed(training) and not slow:
        return None
    cost = "the training does not learn" if gap is None else gap.words
    return Seen(
        f"A channel of {named(few)} has {least} value{'' if least == 1 else 's'} in a batch (examples times "
        f"positions), too few for a mean and a variance, so that every step is normalized with noise: {cost}.",
        where=tuple(few),
        since_step=1,
        evidence={"values": least, **({} if gap is None else gap.evidence)},
        weight=0.8 if least <= VERY_FEW else 0.5,
        severity=Severity.WARNING,
    )


RULE = norm_rule(
    _examine,
    _see,
    id="NW401",
    name="small-batch-statistics",
    meaning="Batch normalization estimates a mean and a variance per channel from each batch. From m values the mean "
    "is off by 1/√m of the channel's deviation: with a batch of four, by half. The network then trains on noise, and "
    "its running statistics fit no batch that it saw.",
    evidence="The values per channel of a batch: examples times positions (H·W of an image), not examples alone.",
    threshold=f"Fewer than {FEW_VALUES} values per channel, and an outcome. A training: it does not learn (is slow, "
    f"with {VERY_FEW} or fewer), or evaluation mode is worse than training mode. A trained network: the statistics "
    f"cost something beyond noise; or it is in training mode and the moments of batches do; or it knows at most "
    f"{percent(HALF)} of what there is beyond guessing.",
    source="Ioffe 2017, arXiv:1702.03275: batch renormalization for small batches; Wu and He 2018, arXiv:1803.08494, "
    f"figure 1. Values instead of examples: a 14 × 14 map has 1568 in a batch of eight. {FEW_VALUES}: {TUNED}.",
    remedies=("batch-size*4", "estimate-population"),
)
