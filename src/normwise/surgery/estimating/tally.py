"""What is kept of the batches that one layer was given, and the population moments that follow. Pure functions."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from normwise.moments import Moments, merge


class Tally(NamedTuple):
    """Some batches of one layer.

    Attributes:
        values: the moments of all their values, in float64 on the CPU.
        within: E_B[σ²_B], the mean of the batches' biased variances, in which every value weighs the same.
        batches: how many batches had any value that counts.
    """

    values: Moments
    within: Tensor
    batches: int


def of_batch(batch: Moments) -> Tally:
    """The tally of one batch."""
    values = Moments(*(each.detach().to("cpu", torch.float64) for each in batch))
    return Tally(values, values.var, int(values.count.max() > 0))


def together(a: Tally, b: Tally) -> Tally:
    """The tally of the batches of both, without going back to them."""
    values = merge(a.values, b.values)
    within = torch.lerp(a.within, b.within, b.values.count / values.count.clamp(min=1))
    return Tally(values, within, a.batches + b.batches)


def population(tally: Tally, mode: str) -> tuple[Tensor, Tensor] | None:
    """Mean and unbiased variance, or None where there are too few values for a variance.

    With N values in all, in K batches of N/K = m values on average:

        pooled   Var[x] = N/(N − 1)·σ²                            σ² of all values, within and between batches
        paper    Var[x] = m/(m − 1)·E_B[σ²_B] = N/(N − K)·E_B[σ²_B]

    Without bias, the paper's for batches of unequal size too, where E_B weighs every value the same.
    Source: Ioffe & Szegedy 2015, arXiv:1502.03167, Algorithm 2, line 10.
    """
    count, mean, var = tally.values
    lost = 1  # degrees of freedom, one for each mean that is subtracted
    if mode == "paper":
        var, lost = tally.within, tally.batches
    return (mean, var * (count / (count - lost))) if count.min() > lost else None
