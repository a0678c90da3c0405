"""What a caller of ``batch_norm`` gets."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from normwise.moments import Moments


class BatchNormOutput(NamedTuple):
    """The output of the transform and the moments of the batch that it was normalized with.

    The moments have shape (C,), or (groups, C) where the batch was split, and are not differentiable. They are float32
    for float16 and bfloat16 inputs and of the input's type otherwise.

    Attributes:
        y: the output, of the shape and type of x.
        mean: the mean of each channel.
        var: the biased variance of each channel.
        count: the number of values that each channel was described by.
    """

    y: Tensor
    mean: Tensor
    var: Tensor
    count: Tensor  # type: ignore[assignment]  # hides tuple.count, on purpose

    @property
    def moments(self) -> Moments:
        """Those of the batch, without the output."""
        return Moments(self.count, self.mean, self.var)
