"""NW103: units that are inactive for every example."""

from __future__ import annotations

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.rules import layers
from normwise.doctor.rules.judging import TUNED, Seen, rule
from normwise.doctor.rules.layers import named, percent

DEAD, ALL = 0.7, 0.95


def _see(training: Training, evidence: Evidence) -> Seen | None:
    watched = training.watched
    shares = layers.over_steps(layers.ending(watched), "dead")
    dead = {layer: share for layer, share in shares.items() if share >= DEAD}
    if not dead:
        return None
    worst = max(dead, key=dead.__getitem__)
    share = dead[worst]
    first = layers.since(watched, lambda seen: any(row.layer in dead and (row.dead or 0) >= DEAD for row in seen.units))
    never = [row.layer for row in watched.observations[0].units if row.layer in dead and (row.zero or 0.0) >= ALL]
    return Seen(
        f"Units died: in {named(dead)} {'all' if share == 1 else f'up to {percent(share)} of the'} units put out 0 "
        f"for every example ({'from the first step on' if never else f'since step {first}'}). A unit that is 0 "
        "for every example has the gradient 0 and never comes back; what stands in front of such a layer learns "
        "nothing through it.",
        where=tuple(dead),
        since_step=first,
        evidence={"dead": share, "layer": worst, "layers": len(dead), "from_the_start": bool(never)},
        weight=0.85 if share >= ALL else 0.6,
        strong=share >= ALL,
    )


RULE = rule(
    _see,
    id="NW103",
    name="dead-units",
    meaning="A ReLU whose input is negative for every example puts out 0 and has slope 0: its gradient is 0, and it "
    "never comes back. A layer of dead units cuts the network in two. Half of the outputs being 0 is normal.",
    evidence="By layer, the share of units with slope 0 for all examples of three recorded batches.",
    threshold="At least 70 % of a layer's units, in the last third of the recorded steps; 95 % where the training is "
    "only slow.",
    source="AUTOTRAINER (Zhang et al., ICSE 2021) and DeepDiagnosis (Wardat et al., ICSE 2022): 70 %, of outputs; here "
    f"of units that are inactive for all examples. 95 %: {TUNED}.",
    remedies=("batch-normalization", "leaky-relu-he", "he", "selu-lecun", "lr/10", "lr/100", "tanh-xavier"),
    cures=("batch-normalization", "leaky-relu-he", "selu-lecun", "tanh-xavier", "he"),
)
