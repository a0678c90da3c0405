"""NW101: the gradient of the first layers is almost nothing."""

from __future__ import annotations

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.rules import layers
from normwise.doctor.rules.judging import TUNED, Seen, rule
from normwise.doctor.rules.layers import listed, named, number
from normwise.probes.watched import Observation, Watched

SHRINKS, SHRINKS_FAR = 1e3, 1e4
SHRINKS_FLAT = 300.0
NOTHING = 1e-6
SATURATED, DEAD = 0.5, 0.7
LEAST_LAYERS = 3
FLAT_SLOPES = {"sigmoid": 0.25}
"""Activations whose slope is far below 1 everywhere, with the steepest."""


def _see(training: Training, evidence: Evidence) -> Seen | None:
    watched = training.watched
    profile = layers.gradients(watched)
    if len(profile.values) < LEAST_LAYERS:
        return None
    return _shrinks(watched, profile) or _nothing(watched)


def _shrinks(watched: Watched, profile: layers.Profile) -> Seen | None:
    """The gradient falls from some layer to an earlier one."""
    largest = max(range(len(profile.values)), key=profile.values.__getitem__)
    before = range(largest)
    if not before or profile.values[largest] == 0:
        return None
    smallest = min(before, key=profile.values.__getitem__)
    high, low = profile.values[largest], profile.values[smallest]
    shrinks = high / low if low > 0 else float("inf")
    least = SHRINKS_FLAT if _is_flat(watched) else SHRINKS
    if shrinks < least:
        return None
    last, first = profile.layers[largest], profile.layers[smallest]
    times = f"shrinks by a factor of {number(shrinks)}" if low > 0 else "shrinks to exactly 0"
    return Seen(
        f"The gradient vanishes: from layer {last} back to layer {first} it {times}{_because(watched)}. "
        "The first layers hardly learn, and the layers behind them have little to learn from.",
        where=profile.layers[smallest:largest],
        since_step=watched.observations[0].step,
        evidence={
            "shrinks": shrinks,
            "from": last,
            "to": first,
            "largest": high,
            "smallest": low,
            "from_the_start": _ratio(watched.observations[0], last, first) >= least,
        },
        weight=0.8,
        strong=shrinks >= SHRINKS_FAR and _is_bounded(watched),
    )


def _ratio(seen: Observation, last: str, first: str) -> float:
    """How far the gradient shrinks between two layers at one step, per element."""
    sizes = {row.layer: (row.gradient or 0.0) / row.size**0.5 for row in seen.weights}
    high, low = sizes.get(last, 0.0), sizes.get(first, 0.0)
    return high / low if low > 0 else float("inf")


def _nothing(watched: Watched) -> Seen | None:
    """All gradients but the last layer's are nothing beside the weights: the signal fades forward and backward."""
    profile = layers.relative_gradients(watched)
    hidden = profile.values[:-1]
    if len(hidden) < LEAST_LAYERS - 1 or not 0 < max(hidden) < NOTHING:
        return None
    return Seen(
        f"The gradient vanishes: in every layer but the last it is at most {number(max(hidden))} times the weights"
        f"{_because(watched)}. Steps that small change nothing.",
        where=profile.layers[:-1],
        since_step=watched.observations[0].step,
        evidence={"largest_relative_gradient": max(hidden)},
        weight=0.8,
        strong=True,
    )


def _is_bounded(watched: Watched) -> bool:
    return any(row.saturated is not None for row in watched.observations[0].units)


def _is_flat(watched: Watched) -> bool:
    """Whether every activation multiplies the gradient by a slope far below 1."""
    rows = watched.observations[0].units
    return bool(rows) and all(row.what in FLAT_SLOPES for row in rows)


def _because(watched: Watched) -> str:
    """What makes it vanish, as the end of a sentence."""
    rows = watched.observations[0].units
    dead = [layer for layer, share in layers.over_steps(layers.ending(watched), "dead").items() if share >= DEAD]
    if dead:
        return f" because most units of {named(dead)} are dead and let none through"
    saturated = layers.over_steps(layers.ending(watched), "saturated")
    full = [layer for layer, share in saturated.items() if share > SATURATED]
    names = listed(dict.fromkeys(row.what for row in rows if row.saturated is not None))
    if full:
        return f" because {names} units saturate in {named(full)}: there their slope is almost 0"
    if rows and rows[0].what in FLAT_SLOPES:
        return f" because every {names} multiplies it by a slope of {FLAT_SLOPES[rows[0].what]} at most"
    return " because the weights are so small that the signal fades in every layer" if rows else ""


RULE = rule(
    _see,
    id="NW101",
    name="vanishing-gradient",
    meaning="Backpropagation multiplies the gradient by the weights and the slope of the activation in every layer. "
    "Where both are small it is almost 0 when it reaches the first layers: they do not learn, and what stands behind "
    "them has nothing to learn from.",
    evidence="The root mean square of the elements of each linear map's gradient, the median over the recorded steps; "
    "and the gradient's norm over that of the weight.",
    threshold="The largest is at least 1000 times that of an earlier layer (300 times where all activations are "
    "sigmoids; 10⁴ with a bounded activation where the training is only slow), or in every layer but the last it is "
    "below 10⁻⁶ of the weight's norm.",
    source="AUTOTRAINER (Zhang et al., ICSE 2021): ‖g₁‖/‖g_L‖ < 10⁻³; here per element, so that the sizes of layers do "
    f"not count. Glorot and Bengio 2010 for the reason. 300, 10⁻⁶ and 10⁴: {TUNED}.",
    remedies=("batch-normalization", "relu-he", "selu-lecun", "leaky-relu-he", "he", "tanh-xavier", "orthogonal"),
    cures=("batch-normalization", "relu-he", "selu-lecun", "leaky-relu-he", "tanh-xavier", "he", "orthogonal"),
)
