"""NW106: steps that are too long."""

from __future__ import annotations

import math

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.outcome import Status
from normwise.doctor.rules import layers
from normwise.doctor.rules.judging import BAD, TUNED, Seen, rule
from normwise.doctor.rules.layers import named, number, percent
from normwise.probes.watched import Units, Watched

LARGE, HUGE = 0.1, 1.0
RISES = 2.0
DEAD, SATURATED = 0.95, 0.5


def _see(training: Training, evidence: Evidence) -> Seen | None:
    watched, outcome = training.watched, training.outcome
    steps = _longest(watched)
    if not steps:
        return None
    layer = max(steps, key=steps.__getitem__)
    moves, rises, lost = steps[layer], _rises(training), _lost(watched)
    hidden = max([moved for name, moved in steps.items() if name != list(steps)[-1]], default=0.0)
    grew = outcome.status is Status.DIVERGED or rises >= RISES
    harmed = grew or bool(lost) or (outcome.status in BAD and hidden >= LARGE)
    if moves < LARGE or not harmed:
        return None
    return Seen(
        f"The steps are too long: one update changed the weights of layer {layer} by {_size(moves)}"
        f"{_then(rises, lost)}. So long a step lands far away from where its gradient was measured, where the loss may "
        "be larger instead of smaller.",
        where=(layer,),
        since_step=watched.observations[0].step,
        evidence={"update_over_weight": moves, "layer": layer, "rises": rises, "lost": lost, "lr": _rate(training)},
        weight=0.5 + 0.2 * (moves >= HUGE) + 0.25 * grew,
        strong=grew or bool(lost) or moves >= HUGE,
    )


def _longest(watched: Watched) -> dict[str, float]:
    """‖ΔW‖/‖W‖ by layer, the largest of the first recorded steps; infinite where a finite gradient gave no number."""
    steps: dict[str, float] = {}
    for seen in layers.beginning(watched):
        for row in seen.weights:
            if row.update is None or row.gradient is None or not 0 < row.weight < math.inf:
                continue
            moved = row.update / row.weight
            if not math.isfinite(moved):
                moved = math.inf if math.isfinite(row.gradient) else 0.0
            steps[row.layer] = max(moved, steps.get(row.layer, 0.0))
    return steps


def _lost(watched: Watched) -> list[str]:
    """Layers whose units answered at the first step and are dead or saturated at the end."""
    first = {row.layer: row for row in watched.observations[0].units}
    dead = layers.over_steps(layers.ending(watched), "dead")
    full = layers.over_steps(layers.ending(watched), "saturated")
    return [layer for layer, row in first.items() if _is_lost(row, dead.get(layer, 0.0), full.get(layer, 0.0))]


def _is_lost(first: Units, dead: float, full: float) -> bool:
    died = dead >= DEAD and (first.zero or 0.0) < DEAD
    return died or (full > SATURATED and first.saturated is not None and first.saturated <= SATURATED)


def _rises(training: Training) -> float:
    """The largest loss over the larger of the start's and the constant's."""
    losses, outcome = training.watched.losses, training.outcome
    if any(not math.isfinite(loss) for loss in losses):
        return math.inf
    base = max(losses[0] if losses else 0.0, outcome.constant or 0.0)
    return max(losses, default=0.0) / base if base > 0 else 1.0


def _size(moves: float) -> str:
    if not math.isfinite(moves):
        return "more than a number can hold"
    return f"{number(moves)} times their size" if moves >= HUGE else f"{percent(moves)} of their size"


def _then(rises: float, lost: list[str]) -> str:
    if math.isinf(rises):
        return ", and the loss became infinite or not a number"
    if rises >= RISES:
        return f", and the loss rose to {number(rises)} times what it began with"
    return f", and then the units of {named(lost)} died or saturated" if lost else ""


def _rate(training: Training) -> float | None:
    return training.watched.optimizer.lr if training.watched.optimizer else None


RULE = rule(
    _see,
    cures=("lr/10", "lr/100"),
    cured="The learning rate is too high: with a smaller one, and nothing else changed, the network learns far more.",
    id="NW106",
    name="learning-rate-too-high",
    meaning="The gradient says where the loss falls close by. A step that is too long leaves that neighborhood: the "
    "loss jumps about or grows, weights become large, and ReLU units are pushed where they never answer again.",
    evidence="‖ΔW‖/‖W‖ of each linear map in the first recorded steps, how far the loss rose above its start, and "
    "units that answered at the first step and are dead or saturated at the end.",
    threshold="One update is at least 0.1 of the weights, and did harm: the training diverged, its loss rose to twice "
    "its start, or 95 % of a layer's units died or half of them saturated since the first step. Where the training is "
    "stuck, such an update of any layer but the last is enough: of the last one it is usual.",
    source=f"DeepDiagnosis (Wardat et al., ICSE 2022) and TheDeepChecker: updates above 0.1. The harm: {TUNED}.",
    remedies=("lr/10", "lr/100", "clip", "warmup", "batch-normalization", "adam"),
)
