"""NW104: units of a bounded activation that are at its ends."""

from __future__ import annotations

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.rules import layers
from normwise.doctor.rules.judging import TUNED, Seen, rule
from normwise.doctor.rules.layers import named, number, percent

MOST, NEARLY_ALL = 0.5, 0.9


def _see(training: Training, evidence: Evidence) -> Seen | None:
    watched = training.watched
    last = watched.calls and training.watched.loss.last
    shares = layers.over_steps(layers.ending(watched), "saturated")
    full = {layer: share for layer, share in shares.items() if share > MOST}
    if not full:
        return None
    worst = max(full, key=full.__getitem__)
    row = next(row for row in layers.ending(watched)[-1].units if row.layer == worst)
    first = layers.since(watched, lambda seen: any(r.layer in full and (r.saturated or 0) > MOST for r in seen.units))
    return Seen(
        f"The {row.what} units of {named(full)} saturate: {percent(full[worst])} of them are at the flat ends of the "
        f"curve (the standard deviation of their inputs is {number(row.std)}). There the slope is almost 0, so almost "
        "no gradient comes through.",
        where=tuple(full),
        since_step=first,
        evidence={"saturated": full[worst], "layer": worst, "input_std": row.std, "last": list(last or ())},
        weight=0.65,
        strong=full[worst] >= NEARLY_ALL,
    )


RULE = rule(
    _see,
    id="NW104",
    name="saturated-units",
    meaning="A sigmoid or tanh is flat at both ends. Where its input is far from 0 the slope is almost 0, and so is "
    "the gradient that comes through: the weights in front of it stop learning.",
    evidence="By layer with a bounded activation, the share of units whose slope is below 5 % of the steepest for more "
    "than 95 % of examples and positions.",
    threshold="More than half of a layer's units in the last third of the recorded steps; 90 % where the training is "
    "only slow.",
    source=f"TheDeepChecker (Ben Braiek and Khomh): more than 50 % of the units. 90 %: {TUNED}.",
    remedies=("batch-normalization", "xavier", "tanh-xavier", "relu-he", "standard-inputs", "lr/10", "selu-lecun"),
    cures=("batch-normalization", "xavier", "tanh-xavier", "relu-he", "selu-lecun", "leaky-relu-he"),
)
