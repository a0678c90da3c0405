"""NW114: parameters that no step changes."""

from __future__ import annotations

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.finding import Severity
from normwise.doctor.outcome import Status
from normwise.doctor.rules.judging import Seen, rule
from normwise.doctor.rules.layers import listed
from normwise.probes.watched import Watched


def _see(training: Training, evidence: Evidence) -> Seen | None:
    watched = training.watched
    if watched.parameters == 0:
        return _none(
            "Every parameter of the network is frozen (requires_grad is False): there is nothing that a step could "
            "change."
        )
    missing = watched.optimizer.missing if watched.optimizer else ()
    if _stands_still(watched):
        return _none(
            f"No step changes the network: {_reason(watched)}. Whatever the loss does, it is chance.",
            where=missing,
        )
    if not missing:
        return None
    slow = training.outcome.status is not Status.LEARNED
    return Seen(
        f"The optimizer does not hold {listed(missing)}: these parameters get gradients, and no step changes them. "
        "Create the optimizer after the network is complete, and on its device, or give it these parameters too.",
        where=missing,
        since_step=1,
        evidence={"missing": len(missing)},
        weight=0.9,
        severity=Severity.WARNING if slow else Severity.INFO,
    )


def _none(words: str, where: tuple[str, ...] = ()) -> Seen:
    return Seen(words, where=where, since_step=1, weight=1.0, severity=Severity.CRITICAL)


def _stands_still(watched: Watched) -> bool:
    """Whether there were gradients, finite and other than 0, and no update in all recorded steps."""
    rows = [row for seen in watched.observations for row in seen.weights]
    moved = any(row.update for row in rows)
    seen = any(row.update is not None for row in rows)
    return not watched.checked and seen and not moved and any(row.gradient for row in rows)


def _reason(watched: Watched) -> str:
    if watched.optimizer is None:
        return "no optimizer was seen to step"
    if watched.optimizer.lr == 0:
        return "the learning rate is 0"
    if watched.optimizer.missing:
        return f"the optimizer does not hold its parameters ({listed(watched.optimizer.missing)})"
    return "optimizer.step() is not called, or it holds the parameters of another network"


RULE = rule(
    _see,
    always=True,
    id="NW114",
    name="parameters-not-updated",
    meaning="The gradients are there and no step follows them: the optimizer holds other parameters, its learning rate "
    "is 0, or it is never asked to step.",
    evidence="‖ΔW‖ of each linear map in the recorded steps, and the parameters that the optimizer does not hold.",
    threshold="No update other than 0 although gradients are; or parameters that require a gradient and are missing "
    "in the optimizer.",
    source="TrainCheck (Jiang et al., OSDI 2025): its invariants on steps and parameters. No threshold: it is certain.",
    remedies=(),
)
