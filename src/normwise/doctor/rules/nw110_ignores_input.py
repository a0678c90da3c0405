"""NW110: an output that is the same for every input."""

from __future__ import annotations

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.rules import layers
from normwise.doctor.rules.judging import BAD, TUNED, Seen, rule
from normwise.doctor.rules.layers import number

SAME = 1e-2


def _see(training: Training, evidence: Evidence) -> Seen | None:
    watched = training.watched
    spread = layers.spread_of_outputs(layers.ending(watched))
    if spread is None or spread > SAME or training.outcome.status not in BAD:
        return None
    shares = layers.over_steps(layers.ending(watched), "spread")
    first = next((layer for layer, share in shares.items() if share <= SAME), None)
    lost = f" From layer {first} on almost nothing depends on the input." if first else ""
    return Seen(
        f"The network ignores its input: between examples its outputs differ by {number(100 * spread)} % of their size."
        f"{lost} The best it can do then is the same answer for all.",
        where=(first,) if first else (),
        since_step=layers.since(watched, lambda seen: bool(seen.outputs and seen.outputs.spread <= SAME)),
        evidence={"spread": spread, "first_layer": first},
        weight=0.25,
        strong=True,
    )


RULE = rule(
    _see,
    id="NW110",
    name="ignores-input",
    meaning="The output is the same whatever goes in: the signal was lost on its way, or the last layer's biases learn "
    "and nothing else does. Mostly this follows from another trouble.",
    evidence="The deviation of the outputs between examples over their size, in the last third of the recorded steps.",
    threshold="At most 1 %, where the training is stuck or diverged.",
    source=f"{TUNED[0].upper()}{TUNED[1:]}.",
    remedies=("batch-normalization", "relu-he", "he", "selu-lecun", "standard-inputs", "lr/10", "leaky-relu-he"),
)
