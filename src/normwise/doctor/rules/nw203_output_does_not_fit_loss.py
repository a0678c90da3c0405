"""NW203: an output that the loss does not expect."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.outcome import Outcome, is_one_hot
from normwise.doctor.rules.judging import Seen, certain, rule
from normwise.doctor.rules.layers import number
from normwise.probes.watched import Loss, Targets, Watched

NOT_LOGITS = ("relu", "relu6", "sigmoid", "softmax", "tanh", "hardsigmoid", "hardtanh", "softplus", "elu", "selu")
RANGES = {
    "relu": (0.0, None),
    "softplus": (0.0, None),
    "relu6": (0.0, 6.0),
    "sigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
}
RANGES |= {"tanh": (-1.0, 1.0), "hardtanh": (-1.0, 1.0), "hardsigmoid": (0.0, 1.0), "elu": (-1.0, None)}
ERRORS = {"mse": "squared error", "mae": "absolute error", "huber": "Huber loss"}
SLACK = 0.05
LEAST_STEPS, HARDLY = 200, 0.1


class Misfit(NamedTuple):
    """What does not fit, why that stops training, and whether it is beyond doubt."""

    words: str
    certain: bool = True


def _see(training: Training, evidence: Evidence) -> Seen | None:
    misfit = _misfit(training.watched)
    if misfit is None:
        return None
    loss = training.watched.loss
    return Seen(
        misfit.words,
        evidence={"loss": loss.kind, "last": list(loss.last), "outputs": list(loss.outputs or ())},
        weight=0.98 if misfit.certain else 0.5,
        strong=misfit.certain or _is_slow(training.outcome),
        severity=certain(training) if misfit.certain else None,
    )


def _is_slow(outcome: Outcome) -> bool:
    """Whether hardly anything was learned in many steps."""
    return outcome.steps >= LEAST_STEPS and outcome.skill is not None and outcome.skill < HARDLY


def _misfit(watched: Watched) -> Misfit | None:
    loss = watched.loss
    if loss.compared is not None:
        return _every(loss)
    if loss.kind in ("cross_entropy", "nll", "bce_with_logits"):
        return _logits(loss)
    if loss.kind == "bce":
        return _probability(loss)
    if loss.kind in ERRORS and watched.targets is not None:
        return _squares(watched) or (None if is_one_hot(watched) else _range(loss, watched.targets))
    return None


def _every(loss: Loss) -> Misfit | None:
    """Whether each of N outputs is compared with each of N targets."""
    outputs, compared = loss.outputs or (), loss.compared or ()
    count = outputs[0] if outputs else 0
    if compared != (count, count) or outputs not in ((count,), (count, 1)) or count < 2:
        return None
    targets = "a row of targets" if len(outputs) == 2 else "a column of targets"
    return Misfit(
        f"The loss compares every output with every target: {count} outputs in shape {outputs} and {targets} make "
        f"{count}·{count} differences. The best the network can do then is the same answer, the mean, for all. Give "
        "outputs and targets the same shape."
    )


def _logits(loss: Loss) -> Misfit | None:
    if loss.kind == "cross_entropy" and loss.outputs is not None and len(loss.outputs) > 1 and loss.outputs[1] == 1:
        return Misfit(
            "Cross-entropy is given a single output: among one class there is nothing to choose, and the loss is 0."
        )
    if loss.kind == "nll":
        return _logarithms(loss)
    last = _last(loss, NOT_LOGITS)
    if last is None:
        return None
    name = "cross-entropy" if loss.kind == "cross_entropy" else "binary cross-entropy with logits"
    if last == ("softmax" if loss.kind == "cross_entropy" else "sigmoid"):
        return Misfit(
            f"The network ends in a {last}, and {name} applies one itself. Squeezed twice, no answer can be sure: the "
            "loss cannot come near 0, and its gradient is small everywhere. Leave the last one out."
        )
    return Misfit(
        f"The network ends in a {last}, and {name} expects numbers of any size and sign. {_cut(last)} "
        f"Leave the {last} out."
    )


def _logarithms(loss: Loss) -> Misfit | None:
    """The negative log-likelihood takes log-softmax, or the logarithm of probabilities."""
    last = _last(loss, (*NOT_LOGITS, "log_softmax"))
    if last in ("log_softmax", "softmax", "sigmoid") and (last == "log_softmax" or "log" in loss.last):
        return None
    if "log" in loss.last:
        ends = f"a {last}, which gives" if last else "a linear layer, which gives"
        return Misfit(
            f"The loss takes the logarithm of probabilities, and the network ends in {ends} none. {_cut(last or '')} "
            "End in a linear layer, and use cross-entropy."
        )
    return Misfit(
        "The negative log-likelihood is given outputs that are no logarithms of probabilities. It can grow without end "
        "while nothing is learned. Put log_softmax in front of it, or use cross-entropy."
    )


def _last(loss: Loss, names: Collection[str]) -> str | None:
    """The last of some functions between the last linear map and the loss."""
    return next((each for each in reversed(loss.last) if each in names), None)


def _cut(last: str) -> str:
    if last in ("relu", "relu6"):
        return "Whatever is below 0 becomes 0 and has no gradient: classes that get there can never come back."
    return "Squeezed like this, the probabilities stay close to each other, and the gradient is small."


def _probability(loss: Loss) -> Misfit | None:
    last = _last(loss, (*NOT_LOGITS, "exp"))
    if last in ("sigmoid", "softmax", "hardsigmoid", "exp"):
        return None
    ends = f"ends in a {last}" if last else "ends in a linear layer"
    return Misfit(
        f"Binary cross-entropy expects probabilities between 0 and 1, and the network {ends}. Outside that range "
        f"there is no loss and no gradient. End in a sigmoid, or use binary cross-entropy with logits."
    )


def _range(loss: Loss, targets: Targets) -> Misfit | None:
    """Whether targets lie where the last activation cannot get."""
    last = _last(loss, RANGES)
    if last is None:
        return None
    low, high = RANGES[last]
    seen_low, seen_high = targets.low, targets.high
    if seen_low is not None and seen_high is not None:
        slack = SLACK * max(seen_high - seen_low, 1e-12)
        below, above = seen_low < low - slack, high is not None and seen_high > high + slack
        if below or above:
            reach = f"between {number(low)} and {number(high)}" if high is not None else f"from {number(low)} up"
            return Misfit(
                f"The network ends in a {last}, so its outputs lie {reach}; the targets go from {number(seen_low)} to "
                f"{number(seen_high)}. What lies outside cannot be learned. End in a linear layer."
            )
    return None


def _are_classes(targets: Targets) -> bool:
    """Whether all targets are 0 or 1: then σ² = μ(1 − μ), and of no others between 0 and 1."""
    if targets.low != 0 or targets.high != 1 or targets.mean is None or targets.std is None:
        return False
    return abs(targets.std**2 - targets.mean * (1 - targets.mean)) < 0.01 * targets.std**2


def _squares(watched: Watched) -> Misfit | None:
    """A squared error of squashed outputs against 0 and 1: it is flat where the network is wrong and sure of it."""
    loss, last = watched.loss, _last(watched.loss, RANGES)
    classes = is_one_hot(watched) or (watched.targets is not None and _are_classes(watched.targets))
    if last not in ("softmax", "sigmoid") or not classes:
        return None
    return Misfit(
        f"The {ERRORS[loss.kind]} compares the outputs of a {last} with 0 and 1. Where the network is sure of a wrong "
        f"answer, the {last} is flat, and almost no gradient comes through. Leave it out and use cross-entropy.",
        certain=False,
    )


RULE = rule(
    _see,
    always=True,
    cures=("linear-output",),
    id="NW203",
    name="output-does-not-fit-loss",
    meaning="Each loss expects outputs of a kind: cross-entropy any numbers (logits), binary cross-entropy "
    "probabilities, a regression numbers in the range of its targets. Others cut the gradient off or keep the loss "
    "from falling.",
    evidence="The functions between the last linear map and the loss, read off autograd's graph, and the range of the "
    "targets.",
    threshold="N outputs that are compared with N targets each; a softmax, sigmoid, ReLU or the like before "
    "cross-entropy; no probability before binary cross-entropy; no logarithm before the likelihood; targets "
    "that the last activation cannot reach. A squared error of a softmax or sigmoid against 0 and 1 is a "
    "warning only where the training is stuck, or less than 10 % of the loss of guessing was learned away in "
    "200 steps or more; the others also where 90 % or less of it was.",
    source="UMLAUT (Schoop et al., CHI 2021), TheDeepChecker (Ben Braiek and Khomh): redundant softmax. No "
    "threshold: it is the definition of the losses.",
    remedies=("linear-output",),
)
