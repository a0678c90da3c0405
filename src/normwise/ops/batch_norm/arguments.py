"""What the operators refuse, before anything is computed."""

from __future__ import annotations

import torch
from torch import Tensor

from normwise.errors import InvalidArgumentError, ShapeError, TensorError
from normwise.ops.tracing import is_jit_traced


def channel_axis(x: Tensor, channel_dim: int) -> int:
    """The axis of the channels, counted from the front, of what can be normalized.

    Raises:
        ShapeError: ``x`` has fewer than two axes.
        InvalidArgumentError: it has no such axis, or is not floating-point.
    """
    if x.ndim < 2:
        raise ShapeError(
            f"x must have at least two axes, (N, C, ...), got shape {tuple(x.shape)}; add the missing axis"
        )
    if not x.is_floating_point():
        raise TensorError(f"x must be of a floating-point type, got {x.dtype}; convert it, for example x.float()")
    if not -x.ndim <= channel_dim < x.ndim:
        raise InvalidArgumentError(
            f"channel_dim must be an axis of x, from {-x.ndim} to {x.ndim - 1}, got {channel_dim}"
        )
    return channel_dim % x.ndim


def check(
    x: Tensor,
    residual: Tensor | None,
    mask: Tensor | None,
    eps: float,
    channel_dim: int,
    **vectors: Tensor | None,
) -> None:
    """Refuse what does not fit ``x``, whose channels are on axis ``channel_dim``; ``vectors`` have a value for each.

    Raises:
        ShapeError: a shape does not fit.
        InvalidArgumentError: a negative ``eps``; TensorError: a wrong type or device.
    """
    if is_jit_traced():
        return
    if not eps >= 0:
        raise InvalidArgumentError(f"eps must be positive, got {eps}; it is added to the variance, try 1e-5")
    shape, device = (x.shape[channel_dim],), x.device
    for name, vector in vectors.items():
        if vector is not None:
            if vector.shape != shape:
                raise ShapeError(
                    f"{name} must have shape {shape}, one value per channel of x, which has shape {tuple(x.shape)} "
                    f"with its channels on axis {channel_dim}; got {name} of shape {tuple(vector.shape)}"
                )
            _check_type(name, vector)
            _check_device(name, vector, device)
    if residual is not None:
        if residual.shape != x.shape:
            raise ShapeError(f"residual must have the shape of x, {tuple(x.shape)}, got {tuple(residual.shape)}")
        _check_type("residual", residual)
        _check_device("residual", residual, device)
    if mask is not None:
        if not isinstance(mask, Tensor):
            raise TensorError(f"mask must be a boolean tensor, got {type(mask).__name__}; make one: torch.tensor(mask)")
        _check_device("mask", mask, device)


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


def check_groups(x: Tensor, channel_dim: int, groups: int) -> None:
    """Refuse a number of groups that the examples do not divide into.

    Raises:
        ShapeError: they do not.
    """
    examples = x.shape[1 if channel_dim == 0 else 0]
    if not isinstance(groups, int) or groups < 1 or examples % groups:
        raise ShapeError(
            f"groups must be a whole number, at least 1, and divide the {examples} examples of the batch, got "
            f"groups={groups!r}"
        )


def full_mask(mask: Tensor, x: Tensor, channel_dim: int) -> Tensor:
    """The mask with the axes of ``x``: of its size everywhere but on the channel's, where it is 1.

    Raises:
        ShapeError: it does not broadcast to ``x``.
        TensorError: it is not boolean.
    """
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
