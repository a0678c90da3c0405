"""The inputs of the first batches: each feature's mean, deviation and range."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from normwise.moments import Moments, batch_moments, merge
from normwise.probes.calls import tensors
from normwise.probes.tensors import is_measurable, promoted
from normwise.probes.watched import Inputs


class InputMoments:
    """Gathers the inputs of some batches, the first tensor of each."""

    def __init__(self) -> None:
        self._examples = 0
        self._moments: Moments | None = None
        self._low: Tensor | None = None
        self._high: Tensor | None = None

    def add(self, given: Any) -> None:
        """Add what a network was called with.

        Left out are examples with a value that is not finite, and batches with another number of features than the
        first.
        """
        x = next(tensors(given), None)
        if x is None:
            return
        self._examples = self._examples or (x.size(0) if x.ndim else 1)
        if not is_measurable(x) or not x.numel():
            return
        x = promoted(x.detach())
        x = x.reshape(-1, 1) if x.ndim < 2 else x
        x = x[x.isfinite().flatten(1).all(1)]
        if not x.numel():
            return
        dims = [dim for dim in range(x.ndim) if dim != 1]
        new, low, high = batch_moments(x, tuple(dims)), x.amin(dims), x.amax(dims)
        if self._moments is None or self._low is None or self._high is None:
            self._moments, self._low, self._high = new, low, high
        elif new.mean.shape == self._moments.mean.shape:
            self._moments = merge(self._moments, new)
            self._low, self._high = torch.minimum(self._low, low), torch.maximum(self._high, high)

    def value(self) -> Inputs:
        """What was seen."""
        if self._moments is None or self._low is None or self._high is None:
            return Inputs(self._examples)
        mean, var = self._moments.mean.double().cpu(), self._moments.var.double().cpu()
        std, varies = var.sqrt(), (self._low < self._high).cpu()
        whole = mean.mean()
        total = (var + (mean - whole).square()).mean().sqrt()
        found = Inputs(
            self._examples,
            len(mean),
            self._low.min().item(),
            self._high.max().item(),
            whole.item(),
            total.item(),
            constant=1 - varies.double().mean().item(),
        )
        if not varies.any():
            return found
        size = (mean.square() + var).sqrt()
        farthest = size.log().abs().where(varies, -torch.ones_like(size))
        kept = std[varies]
        return found._replace(
            worst=int(farthest.argmax()),
            spread=(kept.max() / kept.min()).item(),
            largest=(mean[varies].abs() / kept).max().item(),
        )
