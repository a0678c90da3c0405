"""What every kernel of ours asks of its tensors, and how it brings those of one call into one layout."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor
from torch.autograd import forward_ad

from normwise.moments import moments_dtype
from normwise.ops.batch_norm.layout import Plan, Strides, memory_format, plan
from normwise.ops.batch_norm.transform import Transform


def obstacle(x: Tensor, dtypes: Collection[torch.dtype]) -> str | None:
    """Why kernels for these types cannot read a tensor on the right device, or None where they can."""
    if x.dtype not in dtypes:
        *names, last = (str(dtype).removeprefix("torch.") for dtype in dtypes)
        return f"it needs {', '.join(names)} or {last}, got {str(x.dtype).removeprefix('torch.')}"
    if x.layout is not torch.strided:
        return f"it needs a strided tensor, got one of layout {str(x.layout).removeprefix('torch.')}"
    if torch._C._are_functorch_transforms_active():
        return "it has no rule for torch.func transforms"
    if forward_ad._current_level >= 0:
        return "it has no rule for forward-mode differentiation"
    if not torch.compiler.is_compiling():  # which takes neither question, and has neither kind of tensor
        if x._is_zerotensor():
            return "it needs values in memory, got zeros that have none"
        if torch._C._functorch.is_legacy_batchedtensor(x):
            return "it has no rule for a batch of gradients"
    return None


class Inputs:
    """The tensors of one call, laid out alike: x, residual and grad_y, copied where they have to be.

    Attributes:
        x: of the layout that ``plan`` describes.
        residual: likewise, or None.
        grad_y: likewise, or None.
        plan: how they are read.
        transform: the rest of the call.
    """

    def __init__(self, x: Tensor, residual: Tensor | None, transform: Transform, grad_y: Tensor | None = None) -> None:
        self.transform = transform
        found = self._plan(x)
        if found is None:
            x = x.contiguous(memory_format=memory_format(x, transform.channel_dim))
            found = self._plan(x)
            assert found is not None
        self.x, self.plan = x, found
        self.residual = None if residual is None else self._alike(residual)
        self.grad_y = None if grad_y is None else self._alike(grad_y)

    def _plan(self, tensor: Tensor) -> Plan | None:
        return plan(tensor, self.transform.channel_dim, self.transform.groups, self.transform.mask is not None)

    def _alike(self, tensor: Tensor) -> Tensor:
        """The tensor, or a copy of it that the same kernel can read."""
        if tensor.dtype is self.x.dtype:
            if tensor.stride() == self.x.stride():
                return tensor
            found = self._plan(tensor)
            if found is not None and found.layout == self.plan.layout:
                return tensor
        return self.new().copy_(tensor)

    def new(self) -> Tensor:
        """An uninitialised tensor of the shape and type of x, in the memory format of the output."""
        return torch.empty_like(self.x, memory_format=self.plan.format)

    def values(self, *kinds: int) -> Tensor:
        """Uninitialised values of each channel, (*kinds, C), or (*kinds, G, C) where there are groups."""
        _, groups, channels, _, _ = self.plan.layout
        shape = (*kinds, channels) if groups == 1 else (*kinds, groups, channels)
        return torch.empty(shape, dtype=moments_dtype(self.x.dtype), device=self.x.device)

    def strides(self, tensor: Tensor) -> Strides:
        """How a tensor of the same layout lies."""
        if tensor.stride() == self.x.stride():
            return self.plan.strides
        found = self._plan(tensor)
        assert found is not None
        return found.strides
