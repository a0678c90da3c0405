"""NW108: weights that start where a network cannot learn."""

from __future__ import annotations

import math

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.rules.judging import BAD, TUNED, Seen, rule
from normwise.doctor.rules.layers import named, number
from normwise.probes.watched import Observation

SURE, VERY_SURE = 2.0, 5.0
FACTOR = 100.0
LEAST_LAYERS = 3
CLASSIFIES = ("cross_entropy", "nll", "bce", "bce_with_logits")


def _see(training: Training, evidence: Evidence) -> Seen | None:
    seen = training.watched.observations[:1]
    if not seen or seen[0].step != 1:
        return None
    return _alike(seen[0], stuck=training.outcome.status in BAD) or _sure(training) or _scale(seen[0])


def _alike(seen: Observation, *, stuck: bool) -> Seen | None:
    """All units of a layer start with the same weights."""
    rows = [row.layer for row in seen.weights if row.alike]
    hidden = [layer for layer in rows if layer != seen.weights[-1].layer]
    if not hidden:
        return None
    return Seen(
        f"All units of {named(hidden)} start with the same weights. They put out the same, get the same gradient and "
        "stay the same: the layer is worth a single unit.",
        where=tuple(hidden),
        since_step=1,
        evidence={"alike": len(hidden)},
        weight=0.95,
        strong=stuck or any(row.weight > 0 for row in seen.weights if row.layer in hidden),
    )


def _sure(training: Training) -> Seen | None:
    """The first loss is far above that of guessing: the network is sure of answers before it has learned any."""
    watched, constant = training.watched, _guessing(training)
    if watched.loss.kind not in CLASSIFIES or not constant or not watched.losses:
        return None
    above = watched.losses[0] / constant
    if not SURE <= above < math.inf:
        return None
    return Seen(
        f"The weights start too large: the first loss is {number(watched.losses[0])}, where guessing has "
        f"{number(constant)}. The network is sure of its answers before it has learned any, and has to unlearn them.",
        since_step=1,
        evidence={"first_loss": watched.losses[0], "guessing": constant},
        weight=0.6,
        strong=above >= VERY_SURE,
    )


def _guessing(training: Training) -> float | None:
    """The loss of equal shares, or of the best constant where that is larger; of rare classes it is smaller."""
    constant, outputs = training.outcome.constant, training.watched.loss.outputs
    if constant is None or training.watched.loss.kind not in ("cross_entropy", "nll"):
        return None if constant is None else max(constant, math.log(2) * (training.watched.loss.scale or 0.0))
    classes = outputs[1] if outputs and len(outputs) > 1 else 1
    return max(constant, math.log(classes) * (training.watched.loss.scale or 0.0))


def _scale(seen: Observation) -> Seen | None:
    """What goes into the nonlinearities grows or shrinks from layer to layer before anything was learned."""
    rows = [row for row in seen.units if row.std > 0]
    if len(rows) < LEAST_LAYERS:
        return None
    factor = rows[-1].std / rows[0].std
    if 1 / FACTOR < factor < FACTOR:
        return None
    grows = factor > 1
    return Seen(
        f"The weights start too {'large' if grows else 'small'}: from {rows[0].layer} to {rows[-1].layer} what goes "
        f"into the activations {'grows' if grows else 'shrinks'} by a factor of "
        f"{number(factor if grows else 1 / factor)} before anything was learned, and so "
        "does the gradient on its way back.",
        where=(rows[0].layer, rows[-1].layer),
        since_step=1,
        evidence={"factor": factor},
        weight=0.55,
    )


RULE = rule(
    _see,
    cures=("he", "xavier", "orthogonal"),
    cured="The network starts from weights it cannot learn from: drawn otherwise, with nothing else changed, it learns "
    "far more.",
    id="NW108",
    name="bad-initialization",
    meaning="Weights that start too small make the signal fade on its way through the layers, weights that start too "
    "large make it grow or saturate the activations, and weights that are all the same leave all units the same.",
    evidence="The first step, before any update: whether all rows of a weight are the same, and all rows of its "
    "gradient; the loss against that of guessing; and the deviation of what goes into the activations from the first "
    "layer to the last.",
    threshold="Rows that are all the same, with gradients that are; a first loss of twice that of equal shares, log K, "
    "or of the best constant where that is larger (five times where the training is only slow); a deviation that grows "
    "or shrinks 100 times.",
    source="TheDeepChecker (Ben Braiek and Khomh): the loss at the start off by 100 % from log K. Glorot and Bengio "
    f"2010 and He et al. 2015 for the reason. 100 times: {TUNED}.",
    remedies=("he", "xavier", "orthogonal", "batch-normalization", "relu-he", "tanh-xavier", "selu-lecun"),
)
