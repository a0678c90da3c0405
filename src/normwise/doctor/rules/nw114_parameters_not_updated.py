"""NW114: parameters that no step changes."""

from __future__ import annotations

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.finding import Severity
from normwise.doctor.outcome import Status
from normwise.doctor.rules import layers
from normwise.doctor.rules.judging import Seen, rule
from normwise.doctor.rules.layers import listed, named
from normwise.probes.watched import Call, Units, Watched

LEAST = 3
"""Recorded steps that are enough."""
CLOSED = 0.95
TINY = 1e-15
"""The norm of a gradient that did not vanish: below, 0 may be what it was rounded to."""


def _see(training: Training, evidence: Evidence) -> Seen | None:
    watched = training.watched
    if watched.parameters == 0:
        return _none(
            "Every parameter of the network is frozen (requires_grad is False): there is nothing that a step could "
            "change."
        )
    missing = watched.optimizer.missing if watched.optimizer else ()
    if _stands_still(watched) or _is_cleared(watched):
        return _none(
            f"No step changes the network: {_reason(watched)}. Whatever the loss does, it is chance.",
            where=missing,
        )
    slow = training.outcome.status is not Status.LEARNED
    if missing:
        return Seen(
            f"The optimizer does not hold {listed(missing)}: these parameters get gradients, and no step changes them. "
            "Create the optimizer after the network is complete, and on its device, or give it these parameters too.",
            where=missing,
            since_step=1,
            evidence={"missing": len(missing)},
            weight=0.9,
            severity=Severity.WARNING if slow else Severity.INFO,
        )
    cut = _cut_off(watched, slow=slow)
    return cut or ((_biases_alone(watched) or _frozen_since(watched)) if slow else None)


def _cut_off(watched: Watched, *, slow: bool) -> Seen | None:
    """Layers that require a gradient and have none in any recorded step, in front of one that has."""
    cut = _without_gradient(watched)
    if not cut:
        return None
    one, text = len(cut) == 1, named(cut)
    return Seen(
        f"{text[0].upper()}{text[1:]} {'requires' if one else 'require'} a gradient and never got one, so no step "
        f"changes {'it' if one else 'them'}: detach(), torch.no_grad(), .data or a function without slope, such as "
        f"sign or round, cuts the graph behind {'it' if one else 'them'}, or the loss does not depend on "
        f"{'it' if one else 'them'}.",
        where=cut,
        since_step=1,
        evidence={"without_gradient": len(cut)},
        weight=0.9,
        severity=Severity.WARNING if slow else Severity.INFO,
    )


def _without_gradient(watched: Watched) -> tuple[str, ...]:
    seen = layers.finite(watched)
    if len(seen) < LEAST or any(_is_closed(row) for each in seen for row in each.units):
        return ()
    most: dict[str, float | None] = {}
    for row in (row for each in seen for row in each.weights if row.learned):
        known = most.get(row.layer)
        most[row.layer] = known if row.gradient is None else max(row.gradient, known or 0.0)
    called = {call.layer.partition("#")[0]: call.facts.get("frozen", False) for call in watched.calls}
    places = [place for place, most_ in enumerate(most.values()) if (most_ or 0.0) > TINY]
    last = max(places, default=-1)
    return tuple(
        layer
        for place, (layer, gradient) in enumerate(most.items())
        if not gradient and place < last and not called.get(layer, True)
    )


def _is_closed(row: Units) -> bool:
    """Whether hardly a unit of a layer lets a gradient through: dead, or at the flat ends."""
    return (row.zero or 0.0) >= CLOSED or (row.dead or 0.0) >= CLOSED or (row.saturated or 0.0) >= CLOSED


def _biases_alone(watched: Watched) -> Seen | None:
    """No weight of a linear map is learned, only biases or normalizations."""
    rows = [row for seen in watched.observations for row in seen.weights]
    frozen = all(not row.learned for row in rows) or all(call.facts.get("frozen") for call in _maps(watched))
    if not rows or not watched.frozen or not frozen or any(row.gradient for row in rows):
        return None
    total = watched.parameters + watched.frozen
    return Seen(
        f"Only {watched.parameters} of {total} parameters are trained, and no weight of a linear map is among them "
        "(requires_grad is False). Biases and normalizations alone learn little.",
        since_step=1,
        evidence={"parameters": watched.parameters, "frozen": watched.frozen},
        weight=0.9,
        severity=Severity.WARNING,
    )


def _frozen_since(watched: Watched) -> Seen | None:
    """Layers that were learned at first and are frozen at the end."""
    learned = [{row.layer for row in seen.weights if row.learned} for seen in watched.observations]
    frozen = tuple(layer for layer in _order(watched) if layer in learned[0] - learned[-1]) if learned else ()
    if not frozen:
        return None
    steps = [seen.step for seen, names in zip(watched.observations, learned, strict=True) if names >= set(frozen)]
    since = next(seen.step for seen in watched.observations if seen.step > steps[-1])
    text = named(frozen)
    return Seen(
        f"{text[0].upper()}{text[1:]} {'is' if len(frozen) == 1 else 'are'} frozen since step {since} "
        "(requires_grad is False): no later step changes what was learned until then.",
        where=frozen,
        since_step=since,
        evidence={"frozen": len(frozen)},
        weight=0.3,
        severity=Severity.INFO,
    )


def _order(watched: Watched) -> list[str]:
    return [row.layer for row in watched.observations[0].weights]


def _maps(watched: Watched) -> list[Call]:
    return [call for call in watched.calls if call.kind in ("linear", "conv")]


def _none(words: str, where: tuple[str, ...] = ()) -> Seen:
    return Seen(words, where=where, since_step=1, weight=1.0, severity=Severity.CRITICAL)


def _stands_still(watched: Watched) -> bool:
    """Whether there were gradients, finite and other than 0, and no update in all recorded steps."""
    rows = [row for seen in watched.observations for row in seen.weights]
    moved = any(row.update for row in rows)
    seen = any(row.update is not None for row in rows)
    return not watched.checked and seen and not moved and any(row.gradient for row in rows)


def _is_cleared(watched: Watched) -> bool:
    """Whether there was an optimizer's step and no gradient in any of them."""
    rows = [row for seen in watched.observations for row in seen.weights]
    closed = any(_is_closed(row) for seen in watched.observations for row in seen.units)
    updated = any(row.update is not None for row in rows)
    still = not watched.checked and not any(row.update or row.gradient for row in rows)
    return still and updated and not closed and any(row.learned for row in rows)


def _reason(watched: Watched) -> str:
    if watched.optimizer is None:
        return "no optimizer was seen to step"
    if watched.optimizer.lr == 0:
        return "the learning rate is 0"
    if _is_cleared(watched):
        return "there is no gradient when the optimizer steps: zero_grad() stands between backward() and step()"
    if watched.optimizer.missing:
        return f"the optimizer does not hold its parameters ({listed(watched.optimizer.missing)})"
    return "optimizer.step() is not called, or it holds the parameters of another network"


RULE = rule(
    _see,
    always=True,
    id="NW114",
    name="parameters-not-updated",
    meaning="No step changes them: the optimizer holds other parameters, its learning rate is 0, it is never asked to "
    "step, the gradients are cleared before it does, or the graph is cut, so that no gradient arrives.",
    evidence="‖ΔW‖ and the gradient of each linear map in the recorded steps, the parameters that the optimizer does "
    "not hold, and those that require a gradient.",
    threshold="No update other than 0; parameters that require a gradient and are missing in the optimizer; linear "
    "maps that require a gradient and have none, or exactly 0, in every recorded step, in front of one that has, where "
    "no layer's units are dead or saturated; or no weight of a linear map is learned, where the training is not well. "
    "Layers that are frozen during such a training are information.",
    source="TrainCheck (Jiang et al., OSDI 2025): its invariants on steps and parameters. No threshold: it is certain.",
    remedies=(),
)
