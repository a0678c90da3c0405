"""NW115: weight decay that shrinks the weights away."""

from __future__ import annotations

from statistics import median

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.rules import layers
from normwise.doctor.rules.judging import TUNED, Seen, rule
from normwise.doctor.rules.layers import number
from normwise.probes.watched import Watched, Weights

LEFT = 0.1
SHRUNK, MOST = 0.5, 0.5


def _see(training: Training, evidence: Evidence) -> Seen | None:
    watched = training.watched
    decay = watched.optimizer.weight_decay if watched.optimizer else 0.0
    left = _left(watched)
    if not decay or not left:
        return None
    most, share = max(left.values()), _share(watched, decay)
    if most > LEFT and (most > SHRUNK or share < MOST):
        return None
    return Seen(
        f"Weight decay ({number(decay)}) shrinks the weights away: in every layer at most {number(100 * most)} % of "
        "their size is left. The smaller they are, the less depends on the input. Use a decay of 10⁻⁴ or none.",
        where=tuple(left),
        evidence={"weight_decay": decay, "left": most, "decay_over_gradient": share},
        weight=0.9,
        strong=True,
    )


def _share(watched: Watched, decay: float) -> float:
    """What decay adds to the gradient over the gradient: the median over steps of the least of any layer.

    Decoupled, as in AdamW, it is what decay takes in a step over what the rest of the step is.
    """
    shares = []
    for seen in layers.finite(watched):
        found = [_over(row, seen.lr or 0.0, decay, decoupled=_is_decoupled(watched)) for row in seen.weights]
        shares += [min(known)] if (known := [each for each in found if each is not None]) else []
    return median(shares) if shares else 0.0


def _over(row: Weights, lr: float, decay: float, *, decoupled: bool) -> float | None:
    taken, rest = (lr * decay * row.weight, row.update) if decoupled else (decay * row.weight, row.gradient)
    return taken / rest if rest else None


def _is_decoupled(watched: Watched) -> bool:
    return watched.optimizer is not None and watched.optimizer.name.lower() in ("adamw", "nadamw", "lion")


def _left(watched: Watched) -> dict[str, float]:
    """By layer, the weight's norm at the last recorded step over that at the first."""
    rows = layers.finite(watched)
    if not rows:
        return {}
    first = {row.layer: row.weight for row in rows[0].weights if row.weight > 0}
    return {row.layer: row.weight / first[row.layer] for row in rows[-1].weights if row.layer in first}


RULE = rule(
    _see,
    cures=("no-weight-decay",),
    id="NW115",
    name="weight-decay-too-high",
    meaning="Weight decay takes a part of every weight away in each step. Where that is more than the gradient gives "
    "back, all weights go to 0, and the network answers the same for every input.",
    evidence="‖W‖ of each linear map at the last recorded step over that at the first, and λ·‖W‖ over the norm of the "
    "gradient (decoupled, as in AdamW, η·λ·‖W‖ over that of the update).",
    threshold="At most 10 % is left in every layer, with any weight decay, where the training is not well; or half, "
    "where decay is at least half of the gradient in every layer.",
    source=f"10 % and the halves: {TUNED}.",
    remedies=("no-weight-decay",),
)
