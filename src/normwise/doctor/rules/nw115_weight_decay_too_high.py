"""NW115: weight decay that shrinks the weights away."""

from __future__ import annotations

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.rules import layers
from normwise.doctor.rules.judging import TUNED, Seen, rule
from normwise.doctor.rules.layers import number
from normwise.probes.watched import Watched

LEFT = 0.1


def _see(training: Training, evidence: Evidence) -> Seen | None:
    watched = training.watched
    decay = watched.optimizer.weight_decay if watched.optimizer else 0.0
    left = _left(watched)
    if not decay or not left or max(left.values()) > LEFT:
        return None
    most = max(left.values())
    return Seen(
        f"Weight decay ({number(decay)}) shrinks the weights away: in every layer at most {number(100 * most)} % of "
        "their size is left. With weights near 0 the output is the same for every input. Use a decay of 10⁻⁴ or none.",
        where=tuple(left),
        evidence={"weight_decay": decay, "left": most},
        weight=0.9,
        strong=True,
    )


def _left(watched: Watched) -> dict[str, float]:
    """By layer, the weight's norm at the last recorded step over that at the first."""
    rows = layers.finite(watched)
    if not rows:
        return {}
    first = {row.layer: row.weight for row in rows[0].weights if row.weight > 0}
    return {row.layer: row.weight / first[row.layer] for row in rows[-1].weights if row.layer in first}


RULE = rule(
    _see,
    id="NW115",
    name="weight-decay-too-high",
    meaning="Weight decay takes a part of every weight away in each step. Where that is more than the gradient gives "
    "back, all weights go to 0, and the network answers the same for every input.",
    evidence="‖W‖ of each linear map at the last recorded step over that at the first, and the optimizer's weight "
    "decay.",
    threshold="At most 10 % is left in every layer, with any weight decay, where the training is not well.",
    source=f"10 %: {TUNED}.",
    remedies=(),
)
