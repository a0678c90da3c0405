"""What was measured of a trained network with batch normalization, as plain values."""

from __future__ import annotations

from dataclasses import dataclass

from normwise.records.metric import LOSS, Metric

KNOWS = 0.98
"""Of the loss of the best constant prediction: a network with less knows something of its inputs."""


@dataclass(frozen=True)
class ExaminedNorm:
    """One batch normalization of a trained network.

    Attributes:
        layer: its dotted name.
        tracks: whether it has running statistics.
        batches: ``num_batches_tracked``; None where it keeps none.
        momentum: its momentum; None for the cumulative average.
        weight: the share of the initial values in the statistics, (1 − momentum)^batches, 0 for the average.
        untouched: whether the statistics are what a new layer has: mean 0 and variance 1 in every channel.
        finite: whether they are finite, and no variance is negative.
        values: values per channel in a batch of the loader.
        gap: the largest over channels of |μ − running_mean|/√(σ² + eps), where μ and σ² are the moments of all batches.
        mean_gap: the mean over channels of the same.
        ratio: the largest over channels of |log₂((running_var + eps)/(σ² + eps))|.
        between: the deviation between the means of batches, over what batches drawn at random would have, the median
            over channels; 1 where batches are drawn at random.
        noise: the deviation that the running mean has from averaging batches of ``values`` values with its momentum,
            in standard deviations of the channel: √(momentum/(2 − momentum)/values).
        zero_gamma: the share of channels with γ = 0.
        tiny: the share of channels whose variance over the data is below 10⁻⁶ of the largest.
        training: whether it was in training mode when it was given.
    """

    layer: str
    tracks: bool
    batches: int | None
    momentum: float | None
    weight: float
    untouched: bool
    finite: bool
    values: int
    gap: float | None
    mean_gap: float | None
    ratio: float | None
    between: float | None
    noise: float | None
    zero_gamma: float
    tiny: float
    training: bool


@dataclass(frozen=True)
class Measured:
    """Loss and metric of one way to normalize, on the examples that no statistics were estimated from.

    Attributes:
        loss: the mean over the examples; None where it is not finite.
        metric: None where there is none, or it is not finite.
    """

    loss: float | None
    metric: float | None = None


@dataclass(frozen=True)
class Examination:
    """What was measured of a trained network. Dropout is off in all three.

    Attributes:
        norms: its batch normalizations, in the order of the forward.
        others: how many normalizations of other kinds it has.
        batch: with the moments of each batch, as in training.
        stored: with the running statistics as they are, in evaluation mode.
        estimated: with the moments of other batches (``estimate_population``); None where none could be estimated.
        loss_margin: two standard errors, over batches, of the difference between the losses of stored and estimated.
        metric_margin: likewise of their metrics; None where there is none.
        batch_margin: two standard errors of the difference between the losses of stored and batch.
        batch_metric_margin: likewise of their metrics.
        constant: the loss of the best constant prediction, for class numbers: the logarithms of the classes' shares as
            outputs; None where there is no telling.
        metric: name of the metric, or ``loss``.
        higher_is_better: of the metric.
        label: how it is called.
        percent: whether it is written in percent.
        chance: what guessing scores; None where there is no telling.
        batches: how many batches were measured, and ``estimated_from`` how many the moments come from.
        estimated_from: see there.
        missing: buffers that the weights did not have, so that they are new.
        was_training: whether the network was handed over in training mode.
    """

    norms: tuple[ExaminedNorm, ...]
    others: int
    batch: Measured
    stored: Measured
    estimated: Measured | None
    loss_margin: float | None
    metric: str
    higher_is_better: bool
    label: str
    percent: bool
    chance: float | None
    batches: int
    estimated_from: int
    missing: tuple[str, ...] = ()
    was_training: bool = False
    metric_margin: float | None = None
    batch_margin: float | None = None
    batch_metric_margin: float | None = None
    constant: float | None = None

    @property
    def judged_by(self) -> Metric:
        """The metric, with the way it is written."""
        return Metric(self.metric, self.label, self.higher_is_better, self.percent)

    def value(self, measured: Measured | None) -> float | None:
        """The metric of one way to normalize, which may be the loss."""
        if measured is None:
            return None
        return measured.loss if self.judged_by == LOSS else measured.metric

    @property
    def best(self) -> float | None:
        """The best metric of the three ways to normalize."""
        known = [found for each in (self.batch, self.stored, self.estimated) if (found := self.value(each)) is not None]
        return self.judged_by.best(known) if known else None

    @property
    def is_guessing(self) -> bool:
        """Whether no way to normalize is better than guessing, in metric (up to its noise) and in loss."""
        metric, best = self.judged_by, self.best
        if self.chance is None or best is None:
            return False
        losses = [each.loss for each in (self.batch, self.stored, self.estimated) if each and each.loss is not None]
        if self.constant is not None and min(losses) < KNOWS * self.constant:
            return False
        noise = (self.batch_margin if metric == LOSS else self.batch_metric_margin) or 0.0
        return metric.score(best) <= metric.score(self.chance) + noise
