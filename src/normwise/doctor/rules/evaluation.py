"""What evaluation mode costs: the outcome without which no rule on running statistics warns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.examination import Examination, ExaminedNorm, Measured
from normwise.doctor.finding import Finding, Severity
from normwise.doctor.rule import Rule
from normwise.doctor.rules.judging import See, Seen, rule
from normwise.doctor.rules.layers import number
from normwise.probes.watched import Call
from normwise.records.metric import Metric

POINTS, SHARE, RATIO = 0.02, 0.05, 2.0
"""The least that matters: of a metric in percent, of another as a share of its value, and of the loss as a ratio."""
MANY = 4.0
"""So many times that, of a metric, where the moments of batches are worse: of small ones they always are, somewhat."""
SURE = 1.25
"""Margins, of two standard errors each, beyond which a difference is no noise."""
HALF = 0.5
"""Of what a network scores beyond chance: who loses more has a critical trouble."""
GAP_RATIO, GAP_SHARE = 1.5, 0.1
"""Of a training: the loss in evaluation over that of the last steps, and their difference over the constant's loss."""
LAST = 5
"""Evaluations of which the median is judged: a single one may be an outlier."""
FEW_VALUES = 16
"""Values per channel below which the moments of a batch are noisy: the mean is off by a quarter of the deviation."""


class Harm(NamedTuple):
    """How much worse evaluation mode is, with the statistics that there are, than something else.

    Attributes:
        words: both in numbers, as a sentence.
        severity: ``critical`` where nothing, or less than half, is left of what is beyond chance.
        evidence: the numbers.
    """

    words: str
    severity: Severity
    evidence: dict[str, Any]


def is_poor(found: Examination) -> bool:
    """Whether at most half of what there is beyond guessing is known, of a metric in percent."""
    if found.chance is None or found.best is None or not found.percent or not found.higher_is_better:
        return found.is_guessing
    return found.best - found.chance < HALF * (1 - found.chance)


def against_batch(found: Examination) -> Harm | None:
    """Evaluation mode beside the moments of each batch; None where it is not worse beyond noise."""
    margins = found.batch_margin, found.batch_metric_margin
    return _harm(found, found.stored, found.batch, margins, "as stored", "with the moments of each batch")


def against_estimated(found: Examination, *, least: float = 1.0) -> Harm | None:
    """Evaluation mode beside statistics that are estimated anew; None where it is not worse beyond noise.

    Args:
        found: what was measured.
        least: so many times the least that matters of a metric.
    """
    if found.estimated is None:
        return None
    margins = found.loss_margin, found.metric_margin
    ways = "as stored", "with statistics estimated anew"
    return _harm(found, found.stored, found.estimated, margins, *ways, least=least)


def against_stored(found: Examination) -> Harm | None:
    """The moments of each batch beside evaluation mode; None where they are not much worse beyond noise."""
    margins = None if found.metric != "loss" else found.batch_margin, found.batch_metric_margin
    ways = "with the moments of each batch", "in evaluation mode"
    return _harm(found, found.batch, found.stored, margins, *ways, least=MANY)


def harm(found: Examination) -> Harm | None:
    """What the stored statistics cost, beside new ones or else the moments of batches."""
    return against_estimated(found) or against_batch(found)


def _harm(
    found: Examination,
    worse: Measured,
    better: Measured,
    margins: tuple[float | None, float | None],
    of_worse: str,
    of_better: str,
    *,
    least: float = 1.0,
) -> Harm | None:
    metric, is_loss = found.judged_by, found.metric == "loss"
    low, high = found.value(worse), found.value(better)
    if better.loss is None or high is None:
        return None
    if worse.loss is not None and low is not None:
        by_metric = not is_loss and _metric_matters(metric, low, high, margins[1], least)
        apart = is_loss or metric.score(high) - metric.score(low) > _least(metric, high) / 2
        if not by_metric and not (apart and _loss_matters(worse.loss, better.loss, margins[0])):
            return None
    words = f"{metric.label} is {metric.write(low)} {of_worse} and {metric.write(high)} {of_better}"
    if low is None:
        words = f"the loss is not finite {of_worse}; {of_better} {metric.label} is {metric.write(high)}"
    evidence = {"metric": metric.name, _key(of_worse): low, _key(of_better): high}
    return Harm(words, _severity(metric, low, high, found.chance), evidence)


def _key(way: str) -> str:
    return way.removeprefix("with ").replace(" ", "_")


def _loss_matters(low: float, high: float, margin: float | None) -> bool:
    if margin is None or low - high <= SURE * margin:
        return False
    return low > RATIO * high if high > 0 else low - high > SHARE * abs(high)


def _metric_matters(metric: Metric, low: float, high: float, margin: float | None, least: float) -> bool:
    difference = metric.score(high) - metric.score(low)
    return margin is not None and difference > max(SURE * margin, least * _least(metric, high))


def _least(metric: Metric, value: float) -> float:
    return POINTS if metric.percent else SHARE * abs(value)


def _severity(metric: Metric, low: float | None, high: float, chance: float | None) -> Severity:
    if low is None:
        return Severity.CRITICAL
    if chance is None:
        return Severity.WARNING
    left, whole = metric.score(low) - metric.score(chance), metric.score(high) - metric.score(chance)
    return Severity.CRITICAL if left < HALF * whole else Severity.WARNING


class EvalGap(NamedTuple):
    """The loss on training data in evaluation mode, in the last evaluations, far above that of the last steps.

    Attributes:
        training: the mean loss of the last steps.
        evaluation: the median of the last evaluations; None where it is not finite.
    """

    training: float
    evaluation: float | None

    @property
    def words(self) -> str:
        """Both in numbers, as a clause."""
        lost = "not finite" if self.evaluation is None else number(self.evaluation)
        return (
            f"the loss on the training data is {lost} in evaluation mode and {number(self.training)} in training mode"
        )

    @property
    def evidence(self) -> dict[str, Any]:
        """The numbers."""
        return {"training_loss": self.training, "evaluation_loss": self.evaluation}


def eval_gap(training: Training) -> EvalGap | None:
    """The gap of a training that was evaluated; None where there is none, or no evaluation."""
    outcome = training.outcome
    if outcome.end is None or not outcome.evaluations:
        return None
    found = EvalGap(outcome.end, _middle([each.train_loss for each in outcome.evaluations[-LAST:]]))
    if found.evaluation is None:
        return found
    scale = outcome.constant if outcome.constant is not None else abs(outcome.start)
    large = found.evaluation - found.training > max(GAP_SHARE * scale, outcome.noise * scale)
    return found if large and found.evaluation > GAP_RATIO * found.training else None


def _middle(losses: Sequence[float | None]) -> float | None:
    """The lower median; None stands for a loss that is not finite, and is larger than any other."""
    ordered = sorted(losses, key=lambda loss: math.inf if loss is None else loss)
    return ordered[(len(ordered) - 1) // 2]


def failed(training: Training) -> bool:
    """Whether a training did not learn, as far as anybody knows."""
    return training.outcome.status in ("stuck", "diverged") or training.outcome.learned is False


def batch_norms(training: Training) -> list[Call]:
    """The calls of batch normalizations."""
    return [call for call in training.watched.calls if call.kind == "batch_norm"]


def values_by_layer(training: Training) -> dict[str, int]:
    """Values per channel of each layer that normalized with the batch's moments, the fewest of any step."""
    found: dict[str, int] = {}
    for observation in training.watched.observations:
        for norm in observation.norms:
            if norm.training:
                found[norm.layer] = min(norm.values, found.get(norm.layer, norm.values))
    return found


Examine = Callable[[Examination], Seen | None]


def norm_rule(examine: Examine, see: See, **about: Any) -> Rule:
    """A rule that judges a trained network, and each watched training.

    Args:
        examine: what there is in a trained network; it has its severity.
        see: what there is in a training, likewise.
        **about: the other attributes of the rule.
    """
    trained = rule(see, always=True, **about)

    def judge(evidence: Evidence) -> Iterable[Finding]:
        seen = None if evidence.examination is None else examine(evidence.examination)
        if seen is not None:
            yield Finding(
                trained.id,
                trained.name,
                seen.severity or Severity.WARNING,
                seen.where,
                None,
                seen.evidence,
                trained.remedies,
                seen.words,
                seen.weight,
            )
        yield from trained.judge(evidence)

    return replace(trained, judge=judge)


def nothing_examined(found: Examination) -> Seen | None:
    """Of a rule that has nothing to say of a trained network."""
    return None


def nothing_seen(training: Training, evidence: Evidence) -> Seen | None:
    """Of a rule that has nothing to say of a training."""
    return None


def names(norms: Iterable[ExaminedNorm]) -> tuple[str, ...]:
    """The names of layers; the network itself is ``the network``."""
    return tuple(norm.layer or "the network" for norm in norms)


def worst(norms: Iterable[ExaminedNorm], name: str) -> float | None:
    """The largest of a number over layers."""
    return max((value for norm in norms if (value := getattr(norm, name)) is not None), default=None)
