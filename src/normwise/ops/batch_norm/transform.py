"""What the kernels are given besides tensors of the size of x, and what they return."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from normwise.ops.activations import Activation


class Statistics(NamedTuple):
    """What the transform normalizes with: contiguous arrays of a value for each group and channel.

    They are of the type that is accumulated in. The four of a batch come as one tensor, ``Statistics(*tensor)``.

    Attributes:
        mean: μ, rounded.
        var: the biased σ².
        low: what rounding took from μ, or None where μ is taken as it is.
        count: the number of values; None where the statistics are not the batch's own.
    """

    mean: Tensor
    var: Tensor
    low: Tensor | None = None
    count: Tensor | None = None  # type: ignore[assignment]  # hides tuple.count, on purpose


class Transform(NamedTuple):
    """Everything but the tensors of the size of x.

    ``weight`` and ``bias`` are contiguous and of the type of the statistics; ``mask`` is contiguous, of the shape of x
    with size 1 on the channel's axis.
    """

    weight: Tensor | None
    bias: Tensor | None
    eps: float
    activation: Activation | None
    mask: Tensor | None
    channel_dim: int
    groups: int


class Gradients(NamedTuple):
    """Of the loss by x, weight, bias and residual; those by weight and bias have a value for each group and channel."""

    x: Tensor
    weight: Tensor
    bias: Tensor
    residual: Tensor | None
