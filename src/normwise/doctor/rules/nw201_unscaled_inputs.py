"""NW201: inputs far from mean 0 and deviation 1."""

from __future__ import annotations

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.rules.judging import TUNED, Seen, rule
from normwise.doctor.rules.layers import number
from normwise.probes.watched import Inputs, Watched

LARGE, VERY_LARGE = 10.0, 50.0
SMALL, VERY_SMALL = 0.02, 0.002
APART = 100.0
REMEDIES_OF_SMALL = ("standard-inputs", "batch-normalization", "lr*10", "lr*100")
OFF = 20.0


def _see(training: Training, evidence: Evidence) -> Seen | None:
    inputs = training.watched.inputs
    if inputs.features == 0 or inputs.std is None or inputs.mean is None:
        return None
    if inputs.constant == 1 and inputs.examples > 1:
        return _constant(inputs)
    if _is_normalized(training.watched):
        return None
    size = max(abs(inputs.mean), inputs.std)
    what = _what(inputs, size)
    if what is None:
        return None
    far = size >= VERY_LARGE or size <= VERY_SMALL
    return Seen(
        f"{what} Scale them to mean 0 and deviation 1 with the moments of the training data: until then "
        + (
            "the network hardly tells one input from another, and the gradient of its first layer is as small as they."
            if size <= SMALL
            else "a learning rate that suits the weights of some inputs is far too large or too small for others."
        ),
        evidence={
            "mean": inputs.mean,
            "std": inputs.std,
            "low": inputs.low,
            "high": inputs.high,
            "spread": inputs.spread,
            "largest": inputs.largest,
            "feature": inputs.worst,
        },
        weight=0.95 if far else 0.75,
        strong=far,
        remedies=REMEDIES_OF_SMALL if size <= SMALL else (),
    )


def _constant(inputs: Inputs) -> Seen:
    return Seen(
        "The inputs are the same for every example: there is nothing in them from which the targets could be told. "
        "Look at what the data loader returns.",
        evidence={"constant": 1.0, "mean": inputs.mean},
        weight=0.97,
        strong=True,
    )


def _what(inputs: Inputs, size: float) -> str | None:
    """What is the matter with the scale, in a sentence; None where nothing is."""
    values = f"from {number(inputs.low or 0.0)} to {number(inputs.high or 0.0)}"
    if size >= LARGE:
        return f"The inputs are large: they go {values}, with mean {number(inputs.mean or 0.0)}."
    if size <= SMALL and size > 0:
        return f"The inputs are all close to 0: they go {values}."
    if max(abs(inputs.low or 0.0), abs(inputs.high or 0.0)) < LARGE:
        return None
    if (inputs.spread or 0.0) >= APART:
        times = number(inputs.spread or 0.0)
        return f"The inputs have different scales: one feature varies {times} times as much as another."
    if (inputs.largest or 0.0) >= OFF and inputs.features < MANY:
        return f"An input hardly varies: its mean is {number(inputs.largest or 0.0)} times its deviation."
    return None


MANY = 100
"""Features from which single ones that hardly vary, such as pixels at the edge, do not matter."""


def _is_normalized(watched: Watched) -> bool:
    """Whether the network normalizes its inputs itself before its first linear map."""
    for call in watched.calls:
        if call.kind in ("batch_norm", "normalization") and not call.feeds:
            return True
        if call.kind in ("linear", "conv", "recurrent", "attention"):
            return False
    return False


RULE = rule(
    _see,
    always=True,
    cures=("standard-inputs",),
    cured="The inputs are not scaled to mean 0 and deviation 1: scaled so, with nothing else changed, the network "
    "learns far more.",
    id="NW201",
    name="unscaled-inputs",
    meaning="The gradient of a weight is proportional to its input. Inputs in the hundreds make the first layer's "
    "steps huge, saturate or kill its units; inputs of different scale need different learning rates.",
    evidence="Mean, deviation and range of the inputs of the first batches, and the deviations of their features.",
    threshold="|mean| or deviation ≥ 10 (50 where the training is only slow), or both ≤ 0.02 (0.002); deviations of "
    "features 100 times apart, or among fewer than 100 features a |mean| of 20 deviations, where a value is beyond "
    "±10. Not where the network normalizes first. Or no input varies at all.",
    source="UMLAUT (Schoop et al., CHI 2021) and DeepDiagnosis (Wardat et al., ICSE 2022) warn outside [−1, 1], which "
    f"holds of most healthy networks. LeCun et al. 1998 (Efficient BackProp) for the reason. 10, 50, 100: {TUNED}.",
    remedies=("standard-inputs", "batch-normalization", "lr/100", "lr/10"),
)
