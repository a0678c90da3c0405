"""What every implementation of the transform is given besides tensors of the size of x, and what it returns."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from normwise.ops.activations import Activation


class Statistics(NamedTuple):
    """What the transform normalizes with: a value for each channel, or for each group and channel.

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

    Attributes:
        weight: γ of shape (C,), or None for 1.
        bias: β of shape (C,), or None for 0.
        mask: with the axes of x, of size 1 on the channel's; or None.
        eps: ε.
        activation: what follows, or None.
        channel_dim: the axis of the channels, counted from the front.
        groups: how many groups of examples have moments of their own.
        jobs: what an implementation keeps for calls that look like this one, by what still differs; None where nothing
            is kept.
    """

    weight: Tensor | None = None
    bias: Tensor | None = None
    mask: Tensor | None = None
    eps: float = 0.0
    activation: Activation | None = None
    channel_dim: int = 1
    groups: int = 1
    jobs: dict[Any, Any] | None = None

    def finished(self, y: Tensor, residual: Tensor | None) -> Tensor:
        """Compute activation(y + residual), in which either may be missing; of the type of ``y``, differentiable."""
        if residual is not None:
            y = y + residual.to(y.dtype)
        return y if self.activation is None else self.activation.forward(y)


DEFAULT = Transform()
"""Without parameters, mask and activation, channels on axis 1."""


class Gradients(NamedTuple):
    """Of the loss by x, weight, bias and residual; those by weight and bias have a value for each group and channel."""

    x: Tensor
    weight: Tensor
    bias: Tensor
    residual: Tensor | None
