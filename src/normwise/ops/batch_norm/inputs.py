"""What every kernel of ours asks of its tensors, and how it brings those of one call into one layout."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from normwise.moments import moments_dtype
from normwise.ops import tracing
from normwise.ops.batch_norm.layout import Reading, Strides, dense_strides, memory_format, reading, reading_of
from normwise.ops.batch_norm.transform import Statistics, Transform


def obstacle(x: Tensor, dtypes: Collection[torch.dtype]) -> str | None:
    """Why kernels for these types cannot read a tensor on the right device, or None where they can."""
    if x.dtype not in dtypes:
        *names, last = (str(dtype).removeprefix("torch.") for dtype in dtypes)
        return f"it needs {', '.join(names)} or {last}, got {str(x.dtype).removeprefix('torch.')}"
    if x.layout is not torch.strided:
        return f"it needs a strided tensor, got one of layout {str(x.layout).removeprefix('torch.')}"
    if tracing.is_transformed():
        return "it has no rule for torch.func transforms"
    if tracing.is_forward_differentiated():
        return "it has no rule for forward-mode differentiation"
    if not torch.compiler.is_compiling():  # which takes neither question, and has neither kind of tensor
        if tracing.is_zero(x):
            return "it needs values in memory, got zeros that have none"
        if tracing.is_batch_of_gradients(x):
            return "it has no rule for a batch of gradients"
    return None


def vector(values: Tensor, dtype: torch.dtype) -> Tensor:
    """A value for each channel as kernels read it: contiguous, of the type that is accumulated in."""
    if values.dtype is dtype and values.is_contiguous():
        return values
    return values.detach().to(dtype).contiguous()


def readable(stats: Statistics, dtype: torch.dtype) -> Statistics:
    """Given statistics as kernels read them; those of a batch, stacked, are so already."""
    mean, var, low, count = stats
    return Statistics(
        vector(mean, dtype),
        vector(var, dtype),
        None if low is None else vector(low, dtype),
        None if count is None else vector(count, dtype),
    )


def dense(tensor: Tensor) -> Tensor:
    """The tensor, or a copy where its values are not what lies at its address: negated, zero or sparse."""
    return tensor if tracing.is_in_memory(tensor) else tensor.to_dense().clone()


class Inputs:
    """The tensors of one call, laid out alike: x, residual and grad_y, copied where they have to be.

    Attributes:
        x: of the layout that ``reading`` describes.
        residual: likewise, or None.
        grad_y: likewise, or None.
        reading: how they are read.
        transform: the rest of the call, its vectors of the type that is accumulated in, its mask contiguous.
    """

    def __init__(self, x: Tensor, residual: Tensor | None, transform: Transform, grad_y: Tensor | None = None) -> None:
        dtype, (weight, bias, mask, *_) = moments_dtype(x.dtype), transform
        self.transform = transform._replace(
            weight=None if weight is None else vector(weight, dtype),
            bias=None if bias is None else vector(bias, dtype),
            mask=None if mask is None else mask.contiguous(),
        )
        found = self._reading(x)
        if found is None:
            x = x.contiguous(memory_format=memory_format(x, transform.channel_dim))
            found = self._reading(x)
            assert found is not None
        self.x, self.reading = x, found
        self.residual = None if residual is None else self._alike(residual)
        self.grad_y = None if grad_y is None else self._alike(grad_y)

    def _reading(self, tensor: Tensor) -> Reading | None:
        return reading(tensor, self.transform.channel_dim, self.transform.groups, self.transform.mask is not None)

    def _alike(self, tensor: Tensor) -> Tensor:
        """The tensor, or a copy of it that the same kernel can read."""
        if tensor.dtype is self.x.dtype:
            if tensor.stride() == self.x.stride():
                return tensor
            found = self._reading(tensor)
            if found is not None and found.layout == self.reading.layout:
                return tensor
        return self.new().copy_(tensor)

    def new(self) -> Tensor:
        """An uninitialized tensor of the shape and type of x, in the memory format of the output."""
        return torch.empty_like(self.x, memory_format=self.reading.format)

    def values(self, *kinds: int) -> Tensor:
        """Uninitialized values of each channel, (*kinds, C), or (*kinds, G, C) where there are groups."""
        _, groups, channels, _, _ = self.reading.layout
        shape = (*kinds, channels) if groups == 1 else (*kinds, groups, channels)
        return torch.empty(shape, dtype=moments_dtype(self.x.dtype), device=self.x.device)

    def strides(self, tensor: Tensor) -> Strides:
        """How a tensor of the same layout lies."""
        if tensor.stride() == self.x.stride():
            return self.reading.strides
        found = self._reading(tensor)
        assert found is not None
        return found.strides

    def new_strides(self) -> Strides:
        """How what ``new`` makes lies."""
        shape, transform = self.x.shape, self.transform
        strides = dense_strides(shape, self.reading.format)
        found = reading_of(shape, strides, transform.channel_dim, transform.groups, transform.mask is not None)
        assert found is not None
        return found.strides
