"""The operators ``batch_norm`` and ``normalize``: from what a caller gives to the implementation that computes it.

What was decided for one call is remembered for all that look alike: a ``Plan`` by options, shapes, types and devices.
How tensors lie is for the kernels to remember.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from normwise.ops import tracing
from normwise.ops.activations import activation as parse
from normwise.ops.batch_norm import arguments, library
from normwise.ops.batch_norm.choice import choose, wants_triton
from normwise.ops.batch_norm.function import (
    BatchNormFunction,
    NormalizeFunction,
    Plan,
    batch_norm_of_ordinary,
    normalize_of_ordinary,
    normalized,
)
from normwise.ops.batch_norm.implementations import IMPLEMENTATIONS, KERNELS
from normwise.ops.batch_norm.inputs import dense
from normwise.ops.batch_norm.output import BatchNormOutput
from normwise.ops.batch_norm.transform import Statistics, Transform


def batch_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    *,
    eps: float,
    residual: Tensor | None = None,
    activation: str | None = None,
    mask: Tensor | None = None,
    channel_dim: int = 1,
    groups: int = 1,
    impl: str = "auto",
) -> BatchNormOutput:
    """Normalize each channel with the moments of this batch, then scale, shift, add and activate.

        y = activation(γ·(x − μ)/√(σ² + ε) + β + residual)

    μ and the biased σ² are taken over every axis but the channel's. Nothing that is passed in is modified.

    Args:
        x: floating-point values of two axes or more, for example (N, C), (N, C, L) or (N, C, H, W).
        weight: γ of shape (C,), or None for 1.
        bias: β of shape (C,), or None for 0.
        eps: ε ≥ 0, added to the variance; with 0 the output of a constant channel is NaN.
        residual: a tensor of the shape of ``x``, or None for 0.
        activation: a specification such as ``"relu"`` or ``"leaky_relu:0.1"``, or None for the identity.
        mask: True where a position counts; it broadcasts to ``x`` without its channel axis, or with it of size 1, so
            that (N, L) and (N, 1, L) both fit (N, C, L). Other positions count in no moment, output 0 and receive no
            gradient.
        channel_dim: the axis of the channels.
        groups: split the examples (the first axis that is not the channel's) into this many consecutive groups of equal
            size, and normalize each with its own moments.
        impl: ``"cpu"`` (fused kernels: float32, float64 or bfloat16 on the CPU, outside torch.func transforms and
            forward-mode differentiation), ``"triton"`` (fused kernels: float32, bfloat16, float16 on a GPU; likewise),
            ``"torch"`` (PyTorch's kernel: no mask, one group, channels on axis 1 or the last, two values per channel or
            more, outside torch.func transforms), ``"reference"`` (takes everything, has derivatives of every order) or
            ``"auto"``, the quickest that can run, of which ``"triton"`` is one where NORMWISE_TRITON=1 is set;
            ``normwise.explain`` says which.

    Returns:
        ``BatchNormOutput(y, mean, var, count)``. A channel in which nothing counts has mean, var and count 0; one with
        a single value has variance 0 and outputs β.

    Raises:
        ShapeError: a shape does not fit ``x``, or the examples do not divide into ``groups``.
        InvalidArgumentError: unknown activation or implementation, an implementation that cannot do this, a negative
            ``eps``, or an axis that ``x`` lacks; TensorError (a RuntimeError too): a type that is not floating-point, a
            mask that is not boolean, or a tensor on another device than ``x``.

    Source: Ioffe & Szegedy 2015, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal
    Covariate Shift", arXiv:1502.03167, Algorithm 1 and section 3.2; groups: Hoffer, Hubara & Soudry 2017,
    arXiv:1705.08741.
    """
    y, stats, _ = transformed(x, weight, bias, residual, mask, eps, activation, channel_dim, groups, impl)
    mean, var, _, count = stats.unbind()
    return BatchNormOutput(y, mean, var, count)


def transformed(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    residual: Tensor | None,
    mask: Tensor | None,
    eps: float,
    activation: str | None,
    channel_dim: int,
    groups: int = 1,
    impl: str = "auto",
) -> tuple[Tensor, Tensor, bool]:
    """The output of ``batch_norm``; the statistics, stacked; and whether all tensors are ordinary ones.

    Arguments and errors are those of ``batch_norm``. The statistics are mean, variance, what rounding took from the
    mean, and count, (4, C) or (4, groups, C).
    """
    ordinary = tracing.is_ordinary(x, weight, bias, residual, mask)
    plan = _plan(ordinary, (True, impl, eps, activation, channel_dim, groups), x, residual, mask, weight, bias)
    if mask is not None:
        mask = arguments.full_mask(mask, x, plan.channel_dim)
    if plan.impl not in KERNELS:
        return *plan.implementation.forward(x, residual, plan.transform(weight, bias, mask)), ordinary
    if ordinary:
        return *batch_norm_of_ordinary(x, weight, bias, residual, mask, plan), True  # type: ignore[no-untyped-call]
    if tracing.is_eager(x, weight, bias, residual, mask):
        tensors = map(_in_memory, (x, weight, bias, residual, mask))
        return *BatchNormFunction.apply(*tensors, plan), False  # type: ignore[no-untyped-call]
    return *library.batch_norm(x, weight, bias, eps, residual, activation, mask, plan.channel_dim, groups), False


def normalize(
    x: Tensor,
    mean: Tensor,
    var: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    *,
    eps: float,
    residual: Tensor | None = None,
    activation: str | None = None,
    mask: Tensor | None = None,
    channel_dim: int = 1,
    impl: str = "auto",
) -> Tensor:
    """Normalize each channel with given moments, then scale, shift, add and activate: the transform of inference.

        y = activation(γ·(x − μ)/√(σ² + ε) + β + residual)

    x, weight, bias and residual receive gradients; the moments are constants, and may change in place before the
    backward.

    Args:
        x: as in ``batch_norm``, as are ``weight``, ``bias``, ``eps``, ``residual``, ``activation``, ``mask`` and
            ``channel_dim``.
        mean: μ of shape (C,).
        var: σ² of shape (C,).
        weight: γ of shape (C,), or None for 1.
        bias: β of shape (C,), or None for 0.
        eps: ε, added to the variance.
        residual: a tensor of the shape of ``x``, or None for 0.
        activation: a specification such as ``"relu"``, or None for the identity.
        mask: True where a position counts; others output 0 and receive no gradient.
        channel_dim: the axis of the channels.
        impl: ``"cpu"``, ``"triton"`` (one pass; see ``batch_norm``; not while tracing), ``"torch"`` (no mask, channels
            on axis 1 or the last), ``"reference"`` or ``"auto"``.

    Raises:
        ShapeError: a shape does not fit ``x``.
        InvalidArgumentError: as for ``batch_norm``.

    Source: Ioffe & Szegedy 2015, arXiv:1502.03167, Algorithm 2, line 11.
    """
    return evaluated(x, mean, var, weight, bias, residual, mask, eps, activation, channel_dim, impl)


def evaluated(
    x: Tensor,
    mean: Tensor,
    var: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    residual: Tensor | None,
    mask: Tensor | None,
    eps: float,
    activation: str | None,
    channel_dim: int,
    impl: str = "auto",
) -> Tensor:
    """The output of ``normalize``, whose arguments and errors these are."""
    ordinary = tracing.is_ordinary(x, mean, var, weight, bias, residual, mask)
    plan = _plan(ordinary, (False, impl, eps, activation, channel_dim, 1), x, residual, mask, weight, bias, mean, var)
    if mask is not None:
        mask = arguments.full_mask(mask, x, plan.channel_dim)
    differentiable = torch.is_grad_enabled()
    if differentiable or not ordinary:
        mean, var = mean.detach(), var.detach()
    if differentiable and not tracing.is_exported():  # autograd keeps them, and a layer's buffers may change
        mean, var = mean.clone(), var.clone()
    if plan.impl not in KERNELS:
        transform = plan.transform(weight, bias, mask)
        return plan.implementation.normalize(x, residual, transform, Statistics(mean, var))
    if not ordinary:
        tensors = map(_in_memory, (x, weight, bias, residual, mask, mean, var))
        return NormalizeFunction.apply(*tensors, plan)  # type: ignore[no-any-return,no-untyped-call]
    compute: Any = normalize_of_ordinary if differentiable else normalized
    return compute(x, weight, bias, residual, mask, mean, var, plan)  # type: ignore[no-any-return]


_PLANS: dict[tuple[Any, ...], Plan] = {}
_MOST_PLANS = 4096

Options = tuple[bool, str, float, str | None, int, int]
"""Whether the moments are the batch's own; impl, eps, activation, channel_dim and groups as they are given."""


def _plan(ordinary: bool, options: Options, *tensors: Tensor | None) -> Plan:
    """What is decided for a call, which is checked first: remembered where it is ``ordinary``.

    ``tensors`` are x, residual, mask, weight, bias and, where they are given, mean and var.
    """
    if not ordinary:
        return _decide(*options, *tensors)  # type: ignore[arg-type]
    x = tensors[0]
    assert x is not None
    looks = [None if t is None else (t.shape, t.dtype, t.get_device()) for t in tensors]
    key = (options, x.is_cuda and wants_triton(), *looks)
    try:
        plan = _PLANS.get(key)
    except TypeError:  # an option that cannot be hashed, which is none of those allowed
        return _decide(*options, *tensors)  # type: ignore[arg-type]
    if plan is None:
        plan = _decide(*options, *tensors)  # type: ignore[arg-type]
        if len(_PLANS) >= _MOST_PLANS:
            _PLANS.clear()
        plan = _PLANS[key] = plan._replace(jobs={})
    return plan


def _decide(
    training: bool,
    impl: str,
    eps: float,
    activation: str | None,
    channel_dim: int,
    groups: int,
    x: Tensor,
    residual: Tensor | None,
    mask: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor | None = None,
    var: Tensor | None = None,
) -> Plan:
    """Refuse what cannot be computed, and choose how the rest is."""
    channel_dim = arguments.channel_axis(x, channel_dim)
    arguments.check(x, residual, mask, eps, channel_dim, weight=weight, bias=bias, mean=mean, var=var)
    if training:
        arguments.check_groups(x, channel_dim, groups)
    if mask is not None:
        mask = arguments.full_mask(mask, x, channel_dim)
    function = None if activation is None else parse(activation)
    transform = Transform(mask=mask, channel_dim=channel_dim, groups=groups)
    eager = tracing.is_eager(x, residual, mask, weight, bias, mean, var)
    chosen = choose(x, transform, training, eager, impl)
    return Plan(chosen, IMPLEMENTATIONS[chosen], eps, function, channel_dim, groups, None)


def _in_memory(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else dense(tensor)
