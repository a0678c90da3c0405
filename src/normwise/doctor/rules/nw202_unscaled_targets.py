"""NW202: targets far from mean 0 and deviation 1."""

from __future__ import annotations

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.outcome import is_one_hot
from normwise.doctor.rules.judging import TUNED, Seen, rule
from normwise.doctor.rules.layers import number

REGRESSION = ("mse", "mae", "huber")
LARGE, VERY_LARGE = 10.0, 100.0
SMALL = 0.01


def _see(training: Training, evidence: Evidence) -> Seen | None:
    watched = training.watched
    targets = watched.targets
    if (
        watched.loss.kind not in REGRESSION
        or is_one_hot(watched)
        or targets is None
        or targets.std is None
        or targets.mean is None
    ):
        return None
    size = max(abs(targets.mean), targets.std)
    if (targets.std > SMALL and size < LARGE) or targets.std == 0:
        return None
    return Seen(
        f"The targets go from {number(targets.low or 0.0)} to {number(targets.high or 0.0)}, with mean "
        f"{number(targets.mean)} and deviation {number(targets.std)}. A new network puts out numbers around 1: "
        + (
            "the first gradients are as huge as the targets, and reaching them takes most of the training."
            if size >= LARGE
            else "what it has to learn is small beside what its weights do by chance."
        )
        + " Scale them to mean 0 and deviation 1.",
        evidence={"mean": targets.mean, "std": targets.std, "low": targets.low, "high": targets.high},
        weight=0.93 if size >= VERY_LARGE else 0.72,
        strong=size >= VERY_LARGE,
    )


RULE = rule(
    _see,
    always=True,
    cures=("standard-targets",),
    cured="The targets are not scaled to mean 0 and deviation 1: scaled so, with nothing else changed, the network "
    "learns far more.",
    id="NW202",
    name="unscaled-targets",
    meaning="A network starts with outputs around 1. Targets in the hundreds make the loss and its gradient huge, so "
    "that a usual learning rate diverges, and a small one takes the whole training to come near them.",
    evidence="Mean, deviation and range of the targets of a regression, in the first batches.",
    threshold="|mean| or deviation ≥ 10 (100 where the training is only slow), or deviation ≤ 0.01.",
    source=f"LeCun et al. 1998 (Efficient BackProp) for the reason. The numbers: {TUNED}.",
    remedies=("standard-targets", "lr*10", "lr/10", "lr/100", "adam"),
)
