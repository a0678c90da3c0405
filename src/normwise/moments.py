"""Every statistical equation of normwise, once, as pure functions of tensors.

Moments are of any shape, one entry per set of values that is described; for a layer that shape is (C,), for a batch in
groups (groups, C). For the n values x_i of one set:

    count = n      mean = Σ x_i / n      var = Σ (x_i − mean)² / n      (biased)

The variance is always a mean of squared deviations, never E[x²] − E[x]², which cancels when |mean| is much larger than
the standard deviation and can be negative. float16 and bfloat16 values are summed in float32.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

_HALF = (torch.float16, torch.bfloat16)


class Moments(NamedTuple):
    """Count, mean and biased variance of some values: three floating-point tensors of one shape."""

    count: Tensor  # type: ignore[assignment]  # hides tuple.count, on purpose
    mean: Tensor
    var: Tensor


def moments_dtype(dtype: torch.dtype) -> torch.dtype:
    """The type that values of ``dtype`` are summed in: float32 for float16 and bfloat16, else ``dtype`` itself."""
    return torch.float32 if dtype in _HALF else dtype


def batch_moments(x: Tensor, dims: tuple[int, ...], mask: Tensor | None = None) -> Moments:
    """The moments of ``x`` over the axes ``dims``, differentiable in ``x``.

    Args:
        x: values of any shape.
        dims: the axes that are summed away; not negative.
        mask: True where a value counts; broadcastable to ``x``. What ``x`` holds elsewhere has no effect,
            NaN included.

    Returns:
        Moments of the shape of ``x`` without ``dims``. Where nothing counts, all three are zero.
    """
    x = x.to(moments_dtype(x.dtype))
    count = _count(x, dims, mask)
    divisor = count.clamp(min=1)
    if mask is not None:
        x = torch.where(mask, x, 0)
    mean = x.sum(dims) / divisor
    deviation = x - mean.reshape([1 if dim in dims else n for dim, n in enumerate(x.shape)])
    if mask is not None:
        deviation = torch.where(mask, deviation, 0)
    return Moments(count, mean, deviation.square().sum(dims) / divisor)


def _count(x: Tensor, dims: tuple[int, ...], mask: Tensor | None) -> Tensor:
    if mask is not None:
        return mask.expand(x.shape).sum(dims).to(x.dtype)
    kept = [n for dim, n in enumerate(x.shape) if dim not in dims]
    return x.new_full(kept, math.prod([x.shape[dim] for dim in dims]))


def merge(a: Moments, b: Moments) -> Moments:
    """The moments of the values of ``a`` and ``b`` together, without going back to them.

    With n = n_a + n_b and δ = mean_b − mean_a:

        mean = mean_a + δ·n_b/n      n·var = n_a·var_a + n_b·var_b + δ²·n_a·n_b/n

    Either side may be empty. Source: Chan, Golub & LeVeque 1983, "Algorithms for computing the sample variance:
    analysis and recommendations", The American Statistician 37(3), equation 2.1.
    """
    count = a.count + b.count
    share = b.count / count.clamp(min=1)
    delta = b.mean - a.mean
    var = a.var * (1 - share) + b.var * share + delta.square() * share * (1 - share)
    return Moments(count, a.mean + delta * share, var)


def unbiased(var: Tensor, count: Tensor) -> Tensor:
    """The unbiased variance var·n/(n − 1) = var + var/(n − 1), from the biased one.

    A single value has no unbiased variance; its biased one, zero, is returned.
    Source: Ioffe & Szegedy 2015, section 3.1.
    """
    return torch.addcdiv(var, var, (count - 1).clamp_(min=1))


def biased(var: Tensor, count: int) -> Tensor:
    """The biased variance var·(n − 1)/n = var − var/n, from the unbiased one."""
    return torch.sub(var, var, alpha=1 / count)


def are_finite(mean: Tensor, var: Tensor) -> Tensor:
    """Where both the mean and the variance are finite."""
    return mean.isfinite() & var.isfinite()


def running(old: Tensor, batch: Tensor, momentum: float | Tensor) -> Tensor:
    """One step of a running average: ``running ← (1 − momentum)·running + momentum·batch``.

    A large ``momentum`` forgets quickly. As a tensor it may be one number on the CPU, wherever the statistics are. The
    result has the type of ``old``.
    """
    if isinstance(momentum, Tensor):  # only factors, which compiled code for another device takes as plain numbers
        return (old - momentum * old + momentum * batch).to(old.dtype)
    return torch.lerp(old, batch.to(old.dtype), momentum)


def cumulative_momentum(batches: Tensor, dtype: torch.dtype) -> Tensor:
    """The momentum 1/k with which the k-th running update makes the plain average of the k batches seen so far.

    Args:
        batches: k, the number of batches, this one included; a tensor, so that nothing waits for its value.
        dtype: the type of the statistics.
    """
    return batches.clamp(min=1).to(dtype).reciprocal()
