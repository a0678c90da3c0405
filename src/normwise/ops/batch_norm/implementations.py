"""The four implementations of the transform, by name: modules with one interface.

``reference`` and ``torch`` are differentiated by autograd. ``cpu`` and ``triton`` are kernels of our own, which
autograd knows through ``function.py``. Those two and ``reference`` have the four parts that synchronized statistics
need.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from normwise.ops.batch_norm import cpu, reference, triton
from normwise.ops.batch_norm import torch as native
from normwise.ops.batch_norm.transform import DEFAULT, Gradients, Statistics, Transform


class Implementation(Protocol):
    """The transform.

    Tensors of the size of x are (N, …, C, …); statistics are (C,), or (G, C) where there are groups, and "stacked"
    means the fields of ``Statistics`` along a new first axis.
    """

    def obstacle(self, x: Tensor, transform: Transform = DEFAULT, training: bool = True) -> str | None:
        """Why it cannot do this, or None where it can; ``training`` where the moments are the batch's own."""

    def forward(self, x: Tensor, residual: Tensor | None, transform: Transform) -> tuple[Tensor, Tensor]:
        """The output f(BN(x) + residual) and the batch's statistics, stacked, which carry no gradient."""

    def normalize(self, x: Tensor, residual: Tensor | None, transform: Transform, stats: Statistics | Tensor) -> Tensor:
        """The output f((x − μ)·γ/√(σ² + ε) + β + residual), for given statistics."""


class Parts(Implementation, Protocol):
    """The parts of the transform, none of them differentiable; sums are (C,), or (G, C) where there are groups."""

    def moments(self, x: Tensor, transform: Transform) -> Tensor:
        """The statistics of x alone, stacked."""

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


class Updater(Protocol):
    """Moves the same running statistics batch after batch; all tensors are ordinary ones."""

    def fits(self, mean: Tensor, var: Tensor, batches: Tensor | None, skipped: Tensor | None, stats: Tensor) -> bool:
        """Whether these are the tensors that it was made for, and a batch like those before."""

    def update(self, stats: Tensor, momentum: float | None) -> None:
        """Move the statistics by a batch, in place; see ``normwise.nn.statistics.update`` for the equations."""


class Kernels(Parts, Protocol):
    """Kernels of our own."""

    def backward(
        self, grad_y: Tensor, x: Tensor, residual: Tensor | None, transform: Transform, stats: Statistics | Tensor
    ) -> Gradients:
        """The gradients of all inputs; the statistics pass gradients on where they have a count."""

    def updater(
        self, mean: Tensor, var: Tensor, batches: Tensor | None, skipped: Tensor | None, stats: Tensor
    ) -> Updater | None:
        """What moves these running statistics by batches like ``stats``, stacked; None where the kernel cannot."""


KERNELS: dict[str, Kernels] = {"cpu": cpu, "triton": triton}
IMPLEMENTATIONS: dict[str, Implementation] = {**KERNELS, "torch": native, "reference": reference}
