"""What follows the normalization: y = activation(y + residual)."""

from __future__ import annotations

from torch import Tensor

from normwise.errors import ShapeError
from normwise.ops.activations import Activation


def check_residual(x: Tensor, residual: Tensor | None) -> None:
    """Refuse a residual that would have to be broadcast.

    Raises:
        ShapeError: ``residual`` does not have the shape of ``x``.
    """
    if residual is not None and residual.shape != x.shape:
        raise ShapeError(f"residual must have the shape of x, {tuple(x.shape)}, got {tuple(residual.shape)}")


def add_and_activate(y: Tensor, residual: Tensor | None, activation: Activation | None) -> Tensor:
    """Compute activation(y + residual), in which either may be missing; of the type of ``y``."""
    if residual is not None:
        y = y + residual.to(y.dtype)
    return y if activation is None else activation.forward(y)
