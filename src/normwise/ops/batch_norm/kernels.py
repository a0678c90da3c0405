"""The kernels of our own: modules that compute the same, each on one kind of device."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from normwise.ops.batch_norm import cpu, triton
from normwise.ops.batch_norm.transform import Gradients, Statistics, Transform


class Kernels(Protocol):
    """The transform and its four parts.

    Tensors of the size of x are (N, …, C, …); statistics and sums are (C,), or (G, C) where there are groups, and
    "stacked" means the fields of ``Statistics``, along a new first axis.
    """

    def obstacle(self, x: Tensor) -> str | None:
        """Why they cannot take this input, or None where they can."""

    def forward(self, x: Tensor, residual: Tensor | None, transform: Transform) -> tuple[Tensor, Tensor]:
        """The output f(BN(x) + residual) and the batch's statistics, stacked."""

    def normalize(self, x: Tensor, residual: Tensor | None, transform: Transform, stats: Statistics | Tensor) -> Tensor:
        """The output f((x − μ)·γ/√(σ² + ε) + β + residual), for given statistics."""

    def moments(self, x: Tensor, transform: Transform) -> Tensor:
        """The statistics of x alone, stacked."""

    def backward(
        self, grad_y: Tensor, x: Tensor, residual: Tensor | None, transform: Transform, stats: Statistics | Tensor
    ) -> Gradients:
        """The gradients of all inputs; the statistics pass gradients on where they have a count."""

    def backward_reduce(
        self, grad_y: Tensor, x: Tensor, residual: Tensor | None, transform: Transform, stats: Statistics | Tensor
    ) -> tuple[Tensor, Tensor]:
        """The gradients of weight and bias."""

    def backward_elementwise(
        self,
        grad_y: Tensor,
        x: Tensor,
        residual: Tensor | None,
        transform: Transform,
        stats: Statistics,
        sums: tuple[Tensor, Tensor],
    ) -> tuple[Tensor, Tensor | None]:
        """The gradients of x and residual, given those of weight and bias over all values that ``stats`` counts."""


BY_IMPL: dict[str, Kernels] = {"cpu": cpu, "triton": triton}


def on(device: torch.device) -> Kernels:
    """Those for tensors on a device."""
    return BY_IMPL["triton" if device.type == "cuda" else "cpu"]
