"""Whether estimating the running statistics anew helped, as a treatment."""

from __future__ import annotations

import math

from normwise.doctor.examination import Examination
from normwise.doctor.gains import NOTHING
from normwise.doctor.treatment import Recommendation, Treatment
from normwise.doctor.written import counted
from normwise.records.metric import LOSS, Metric

NAME = "estimate-population"


def treatments(examination: Examination) -> tuple[Treatment, ...]:
    """``nothing``, and ``estimate-population`` where statistics could be estimated."""
    stored = examination.value(examination.stored)
    nothing = Treatment(NOTHING, {}, (), stored, None, None, None, helped=False)
    if examination.estimated is None:
        return (nothing,)
    mean = examination.value(examination.estimated)
    gain = _gain(stored, mean, examination)
    margin = examination.loss_margin if examination.judged_by == LOSS else examination.metric_margin
    broken = stored is None and mean is not None
    helped = broken or (gain is not None and margin is not None and gain > margin)
    return nothing, Treatment(NAME, {}, (), mean, None, gain, margin, helped=helped)


def _gain(stored: float | None, mean: float | None, examination: Examination) -> float | None:
    """How much better than as stored; without a value of that, than guessing."""
    stored = examination.chance if stored is None else stored
    if stored is None or mean is None:
        return None
    return (mean - stored) * (1 if examination.higher_is_better else -1)


def recommendation(found: tuple[Treatment, ...], change: str) -> Recommendation | None:
    """To estimate anew, where that helped."""
    treatment = next((each for each in found if each.name == NAME and each.helped), None)
    if treatment is None:
        return None
    gain = 0.0 if treatment.gain is None or not math.isfinite(treatment.gain) else treatment.gain
    return Recommendation(NAME, change, gain, treatment.margin)


def verdict(examination: Examination, found: tuple[Treatment, ...]) -> str:
    """What came of it, in one or two sentences."""
    metric = examination.judged_by
    stored, batch, estimated = (
        metric.write(examination.value(each)) for each in (examination.stored, examination.batch, examination.estimated)
    )
    label, layers = metric.label, counted(len(examination.norms), "batch normalization")
    treatment = next((each for each in found if each.name == NAME), None)
    if treatment is None:
        return (
            f"No statistics of the {layers} could be estimated: {label} {stored} in evaluation mode, {batch} with the "
            "moments of each batch."
        )
    batches = counted(examination.estimated_from, "batch")
    if treatment.helped and examination.value(examination.stored) is None:
        return f"With statistics of {layers} estimated anew {label} is {estimated}; as stored the loss is not finite."
    if treatment.helped:
        margin = "" if treatment.margin is None or treatment.gain is None else _interval(metric, treatment)
        change = f"{metric.heading} {_change(metric, stored, estimated)}"
        return f"{change} after re-estimating the statistics of {layers} from {batches}{margin}."
    if examination.is_guessing:
        return (
            f"The network is no better than guessing with any statistics: {label} {stored} as stored, {estimated} "
            f"re-estimated, {batch} with the moments of each batch. What is wrong lies in the weights or the data."
        )
    return (
        f"Re-estimating the statistics of {layers} from {batches} did not help beyond noise: {label} {stored} in "
        f"evaluation mode as stored, {estimated} re-estimated, {batch} with the moments of each batch."
    )


def _change(metric: Metric, before: str, after: str) -> str:
    """``41.2 → 88.7 %``."""
    unit = f" {metric.unit}" if metric.unit else ""
    return f"{before.removesuffix(unit)} → {after}"


def _interval(metric: Metric, treatment: Treatment) -> str:
    assert treatment.gain is not None
    assert treatment.margin is not None
    sign = 1 if metric.higher_is_better else -1
    return f" ({metric.write_interval(sign * treatment.gain, treatment.margin)})"
