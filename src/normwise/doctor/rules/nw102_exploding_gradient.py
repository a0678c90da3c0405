"""NW102: the gradient grows from layer to layer, or is far larger than the weights."""

from __future__ import annotations

import math

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.rules.judging import TUNED, Seen, rule
from normwise.doctor.rules.layers import number
from normwise.probes.watched import Watched

GROWS = 70.0
BESIDE_WEIGHTS = 10.0
EARLY = 2
LARGE = 80.0
"""Beyond it e^x comes near the largest number."""


def _see(training: Training, evidence: Evidence) -> Seen | None:
    return _not_finite(training.watched) or _grows(training.watched)


def _not_finite(watched: Watched) -> Seen | None:
    """Values overflow in the first steps, before updates can have made the weights large."""
    broken = watched.not_finite
    if broken is None or broken.step > EARLY or broken.what not in ("activation", "gradient", "loss"):
        return None
    if not _grew(watched):
        return None
    where = (broken.layer,) if broken.layer else ()
    inside = f" in layer {broken.layer}" if broken.layer else ""
    return Seen(
        f"Values grow from layer to layer until they are too large for a number: in step {broken.step} the "
        f"{broken.what}{inside} is not finite. Every weight that is updated with it is lost.",
        where=where,
        since_step=broken.step,
        evidence={"step": broken.step, "what": broken.what},
        weight=0.75,
        strong=True,
    )


def _grew(watched: Watched) -> bool:
    """Whether what is finite is large already; else a value is not finite for a reason of its own, as 1/0 or √0.

    Also where no activation was seen: what one that is not known does cannot be told.
    """
    sizes = [max(abs(row.mean), row.std) / LARGE for seen in watched.observations[:2] for row in seen.units]
    rows = [row for seen in watched.observations[:2] for row in seen.weights]
    sizes += [(row.gradient or 0.0) / row.weight / BESIDE_WEIGHTS for row in rows if row.weight > 0]
    sizes += [row.weight / row.size**0.5 / LARGE for row in rows]
    known = [size for size in sizes if math.isfinite(size)]
    return not any(seen.units for seen in watched.observations[:2]) or not known or max(known) >= 1


def _grows(watched: Watched) -> Seen | None:
    """The gradient of an early layer is far larger than that of a later one, and than the weights."""
    if not watched.observations:
        return None
    rows = [
        row
        for row in watched.observations[0].weights
        if row.gradient is not None and math.isfinite(row.gradient) and row.weight > 0
    ]
    if len(rows) < 2:
        return None
    per_element = [(row.gradient or 0.0) / row.size**0.5 for row in rows]
    grows = max(per_element[:-1]) / per_element[-1] if per_element[-1] > 0 else 0.0
    beside = max((row.gradient or 0.0) / row.weight for row in rows)
    if beside < BESIDE_WEIGHTS or (grows < GROWS and beside < BESIDE_WEIGHTS**2):
        return None
    largest = max(rows, key=lambda row: (row.gradient or 0.0) / row.weight)
    return Seen(
        f"The gradient explodes: in layer {largest.layer} it is {number(beside)} times as large as the weights before "
        "the first update. A step along it throws the weights far away from where the gradient was measured.",
        where=(largest.layer,),
        since_step=watched.observations[0].step,
        evidence={"grows": grows, "beside_weights": beside, "layer": largest.layer},
        weight=0.7,
        strong=True,
    )


RULE = rule(
    _see,
    id="NW102",
    name="exploding-gradient",
    meaning="Backpropagation multiplies the gradient by the weights and the slope of the activation in every layer. "
    "Where both are large it grows until a step throws the weights far away, or until it is not a number any more.",
    evidence="The gradient's norm over that of the weight, and the root mean square of its elements by layer, at the "
    "first step; values that are not finite in the first two steps.",
    threshold="‖g‖/‖W‖ ≥ 10 at the first step where an early layer's gradient is 70 times the last one's, or ≥ 100 "
    "anywhere; or a value is not finite within two steps, and others were large before it: ‖g‖/‖W‖ ≥ 10, or weights or "
    "inputs of activations ≥ 80; or no known activation was seen.",
    source=f"AUTOTRAINER (Zhang et al., ICSE 2021): the ratio of 70. 10 and 100: {TUNED}. "
    "80: e⁸⁹ is larger than any number of 32 bits.",
    remedies=("clip", "batch-normalization", "tanh-xavier", "selu-lecun", "relu-he", "lr/10", "lr/100", "orthogonal"),
)
