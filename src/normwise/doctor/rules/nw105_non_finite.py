"""NW105: a value that is infinite or not a number."""

from __future__ import annotations

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.finding import Severity
from normwise.doctor.outcome import Status
from normwise.doctor.rules.judging import Seen, rule

SUDDEN, GROWN = 5, 1.5
"""Losses before the one that is not finite, and how far above the usual they may be."""

MEANS = {
    "input": "The data have to be cleaned first: one such value makes every output, and every weight, not a number.",
    "activation": "Everything behind that layer is lost, and the next update makes the weights not a number.",
    "loss": "Its gradient is not finite either, and the next update makes every weight not a number.",
    "gradient": "The next update makes the weights not a number.",
    "weight": "The network puts out nothing of use from then on.",
}


def _see(training: Training, evidence: Evidence) -> Seen | None:
    broken = training.watched.not_finite
    if broken is None:
        return None if training.outcome.end is not None else _loss_alone(training)
    where = f" of layer {broken.layer}" if broken.layer else ""
    skipped = broken.what == "gradient" and training.outcome.status is not Status.DIVERGED
    return Seen(
        f"The {broken.what}{where} is infinite or not a number in step {broken.step}. "
        + ("The step was skipped, and the training went on." if skipped else MEANS[broken.what])
        + ("" if broken.what != "loss" else _suddenly(training, broken.step)),
        where=(broken.layer,) if broken.layer else (),
        since_step=broken.step,
        evidence={"step": broken.step, "what": broken.what},
        weight=1.0 if broken.what == "input" else 0.3,
        severity=Severity.INFO if skipped else Severity.CRITICAL,
    )


def _suddenly(training: Training, step: int) -> str:
    """What to look for where the losses before it had not grown."""
    before = training.watched.losses[max(0, step - SUDDEN) : step - 1]
    usual = max(training.outcome.start, training.outcome.constant or 0.0)
    if not before or not all(loss <= GROWN * usual for loss in before):
        return ""
    return (
        " The losses before it were as usual: look for values that are not finite in the inputs and targets of that "
        "batch, and for a logarithm, a root or a division by 0 in the loss, the network, or the gradient of the step "
        "before."
    )


def _loss_alone(training: Training) -> Seen:
    return Seen(
        f"The loss is infinite or not a number. {MEANS['loss']}",
        evidence={"what": "loss"},
        weight=0.3,
        severity=Severity.CRITICAL,
    )


RULE = rule(
    _see,
    always=True,
    id="NW105",
    name="non-finite",
    meaning="A value became infinite or not a number. Every sum and product with it is lost too, so that one step "
    "later the whole network is.",
    evidence="The first input, activation, loss, gradient or weight that is not finite, in the order of the "
    "computation.",
    threshold="Any. A gradient alone, where the training went on, is what mixed precision skips: worth knowing only.",
    source="DeepLocalize (Wardat et al., ICSE 2021).",
    remedies=("lr/10", "lr/100", "clip", "standard-inputs", "standard-targets", "batch-normalization", "warmup"),
)
