"""The operator ``batch_norm``: checks what it is given and hands it to an implementation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from normwise.errors import InvalidArgumentError, ShapeError, TensorError
from normwise.ops import registry
from normwise.ops.activations import activation as parse
from normwise.ops.batch_norm import library, reference
from normwise.ops.batch_norm import torch as kernel
from normwise.ops.batch_norm.epilogue import check_residual
from normwise.ops.batch_norm.function import BatchNormFunction, NormalizeFunction, in_memory, normalized
from normwise.ops.batch_norm.kernels import BY_IMPL
from normwise.ops.batch_norm.output import BatchNormOutput


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
    channel_dim = _check(x, weight, bias, residual, mask, channel_dim, eps)
    _check_groups(x, channel_dim, groups)
    mask = None if mask is None else full_mask(mask, x, channel_dim)
    plain = registry.is_plain(x, weight, bias, residual, mask)
    chosen = registry.choose(x, mask, channel_dim, groups, impl, True, plain)
    if chosen in BY_IMPL and not plain:
        y, stats = library.batch_norm(x, weight, bias, eps, residual, activation, mask, channel_dim, groups)
    elif chosen in BY_IMPL:
        y, stats = BatchNormFunction.apply(  # type: ignore[no-untyped-call]
            *map(in_memory, (x, weight, bias, residual, mask)), BY_IMPL[chosen], eps, activation, channel_dim, groups
        )
    if chosen in BY_IMPL:
        mean, var, _, count = stats.unbind()
        return BatchNormOutput(y, mean, var, count)
    function = None if activation is None else parse(activation)
    if chosen == "torch":
        return kernel.batch_norm(
            x, weight, bias, eps=eps, residual=residual, activation=function, channel_dim=channel_dim, plain=plain
        )
    return reference.batch_norm(
        x,
        weight,
        bias,
        eps=eps,
        residual=residual,
        activation=function,
        mask=mask,
        channel_dim=channel_dim,
        groups=groups,
    )


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
    channel_dim = _check(x, weight, bias, residual, mask, channel_dim, eps, mean=mean, var=var)
    mask = None if mask is None else full_mask(mask, x, channel_dim)
    plain = registry.is_plain(x, mean, var, weight, bias, residual, mask)
    chosen = registry.choose(x, mask, channel_dim, 1, impl, False, plain)
    mean, var = mean.detach(), var.detach()
    if torch.is_grad_enabled() and not registry.is_exported():  # autograd keeps them, and a layer's buffers may change
        mean, var = mean.clone(), var.clone()
    if chosen in BY_IMPL:
        function: Any = NormalizeFunction.apply if torch.is_grad_enabled() else normalized
        tensors = map(in_memory, (x, weight, bias, residual, mask, mean, var))
        return function(*tensors, BY_IMPL[chosen], eps, activation, channel_dim)  # type: ignore[no-any-return]
    options: dict[str, Any] = {
        "eps": eps,
        "residual": residual,
        "activation": None if activation is None else parse(activation),
        "channel_dim": channel_dim,
    }
    if chosen == "torch":
        return kernel.normalize(x, mean, var, weight, bias, **options)
    return reference.normalize(x, mean, var, weight, bias, mask=mask, **options)


def _check(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    residual: Tensor | None,
    mask: Tensor | None,
    channel_dim: int,
    eps: float,
    **moments: Tensor,
) -> int:
    """Refuse what does not fit ``x``; the channel's axis, counted from the front."""
    channel_dim = registry.channel_axis(x, channel_dim)
    if registry.is_jit_traced():
        return channel_dim
    if not eps >= 0:
        raise InvalidArgumentError(f"eps must be positive, got {eps}; it is added to the variance, try 1e-5")
    shape, device = (x.shape[channel_dim],), x.device
    for name, vector in (("weight", weight), ("bias", bias), *moments.items()):
        if vector is not None:
            if vector.shape != shape:
                raise ShapeError(
                    f"{name} must have shape {shape}, one value per channel of x, which has shape {tuple(x.shape)} "
                    f"with its channels on axis {channel_dim}; got {name} of shape {tuple(vector.shape)}"
                )
            _check_type(name, vector)
            _check_device(name, vector, device)
    if residual is not None:
        check_residual(x, residual)
        _check_type("residual", residual)
        _check_device("residual", residual, device)
    if mask is not None:
        if not isinstance(mask, Tensor):
            raise TensorError(f"mask must be a boolean tensor, got {type(mask).__name__}; make one: torch.tensor(mask)")
        _check_device("mask", mask, device)
    return channel_dim


def _check_type(name: str, tensor: Tensor) -> None:
    if not tensor.is_floating_point():
        raise TensorError(
            f"{name} must be of a floating-point type, got {tensor.dtype}; convert it, for example {name}.float()"
        )


def _check_device(name: str, tensor: Tensor, device: torch.device) -> None:
    if tensor.device != device:
        raise TensorError(
            f"{name} must be on the device of x, {device}, got one on {tensor.device}; move it: {name}.to(x.device)"
        )


def _check_groups(x: Tensor, channel_dim: int, groups: int) -> None:
    examples = x.shape[1 if channel_dim == 0 else 0]
    if groups < 1 or examples % groups:
        raise ShapeError(
            f"groups must be at least 1 and divide the {examples} examples of the batch, got groups={groups}"
        )


def full_mask(mask: Tensor, x: Tensor, channel_dim: int) -> Tensor:
    """The mask with the axes of ``x``: of its size everywhere but on the channel's, where it is 1."""
    if mask.dtype is not torch.bool:
        raise TensorError(f"mask must be boolean, got {mask.dtype}; make one, for example mask != 0")
    positions = [n for dim, n in enumerate(x.shape) if dim != channel_dim]
    flat = mask.squeeze(channel_dim) if mask.ndim == x.ndim and mask.shape[channel_dim] == 1 else mask
    try:
        return flat.expand(positions).unsqueeze(channel_dim)
    except RuntimeError:
        raise ShapeError(
            f"mask must broadcast to {tuple(positions)}, the shape of x without its channel axis {channel_dim}, "
            f"or have size 1 on that axis; got shape {tuple(mask.shape)}"
        ) from None
