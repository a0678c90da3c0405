"""NW107: steps that are too short."""

from __future__ import annotations

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.outcome import Status
from normwise.doctor.rules import layers
from normwise.doctor.rules.judging import TUNED, Seen, rule
from normwise.doctor.rules.layers import number

NOWHERE, HARDLY = 0.02, 0.2
LEAST_STEPS = 100
STRAIGHT = 0.5


def _see(training: Training, evidence: Evidence) -> Seen | None:
    watched, outcome = training.watched, training.outcome
    profile = layers.updates(watched.observations[1:])
    if outcome.steps < LEAST_STEPS or not profile.values or outcome.status is Status.DIVERGED:
        return None
    most = max(profile.values)
    way = most * outcome.steps
    if not 0 < way < HARDLY:
        return None
    straight = falls_straight(watched.losses)
    rate = watched.optimizer.lr if watched.optimizer else None
    return Seen(
        f"The steps are too short: an update changes the weights of a layer by at most {number(most)} of their size, "
        f"so all {outcome.steps} steps together by at most {number(100 * way)} %"
        f"{', and the loss falls in a straight line' if straight else ''}. At this pace the training takes "
        "far too long.",
        where=(profile.layers[profile.values.index(most)],),
        since_step=1,
        evidence={"update_over_weight": most, "way": way, "straight": straight, "lr": rate},
        weight=0.7 if way < NOWHERE else 0.45,
        strong=straight or way < NOWHERE,
    )


def falls_straight(losses: tuple[float, ...]) -> bool:
    """Whether the second half of a training lowered the loss at least half as much as the first, beyond noise."""
    tenth = max(1, len(losses) // 10)
    middle = len(losses) // 2
    start, half, end = (
        sum(part) / len(part)
        for part in (losses[:tenth], losses[middle - tenth // 2 : middle + tenth // 2 + 1], losses[-tenth:])
    )
    return start > half > end and half - end >= STRAIGHT * (start - half)


RULE = rule(
    _see,
    cures=("lr*10", "lr*100", "lr*1000"),
    cured="The learning rate is too low: with a larger one, and nothing else changed, the network learns far more in "
    "as many steps.",
    id="NW107",
    name="learning-rate-too-low",
    meaning="Every step changes the weights by so little that all of them together change next to nothing. The loss "
    "falls in a straight line, and very slowly.",
    evidence="‖ΔW‖/‖W‖ of each linear map, its mean over the recorded steps times the number of steps: how far the "
    "weights can have come; and the shape of the loss.",
    threshold="At most 20 % of their size over the whole training in every layer; where the training is only slow, "
    "with a loss that falls in a straight line, or 2 %. Trainings of less than 100 steps are too young.",
    source="DeepDiagnosis (Wardat et al., ICSE 2022) and TheDeepChecker (Ben Braiek and Khomh): updates below 10⁻⁵ or "
    f"10⁻⁴ of the weights; here over the whole training, so that its length counts. 2 % and 20 %: {TUNED}; what "
    f"learned there came at least half of its size.",
    remedies=("lr*10", "lr*100", "lr*1000", "adam", "momentum", "batch-normalization"),
)
