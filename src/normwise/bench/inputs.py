"""What a case is measured on: random tensors, the same for every contender."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from normwise.bench.cases import CHANNELS_LAST, INFERENCE, TRAIN, Case

EPS = 1e-5
MOMENTUM = 0.1
MEAN = 3.0
"""Of x, in standard deviations: a mean that is not zero shows who loses digits."""


class Inputs(NamedTuple):
    """The tensors of a case: of its shape, layout and type, or float32 and of shape (C,) from ``weight`` on.

    Attributes:
        x: N(3, 1); like weight, bias and residual it asks for a gradient where the case has a backward.
        residual: N(0, 1), or None.
        grad: the gradient that comes back to the output, N(0, 1).
        weight: γ, uniform in [0.5, 1.5].
        bias: β, N(0, 0.25).
        mean: the statistics for inference, close to those of x.
        var: likewise.
    """

    x: Tensor
    residual: Tensor | None
    grad: Tensor
    weight: Tensor
    bias: Tensor
    mean: Tensor
    var: Tensor

    def part(self, channels: slice) -> Inputs:
        """Some of the channels."""
        return Inputs(*(None if t is None else t[:, channels] if t.ndim > 1 else t[channels] for t in self))  # type: ignore[arg-type]

    @property
    def leaves(self) -> dict[str, Tensor]:
        """What gets a gradient, by name."""
        named = {"x": self.x, "weight": self.weight, "bias": self.bias, "residual": self.residual}
        return {name: tensor for name, tensor in named.items() if tensor is not None}


def draw(case: Case, seed: int = 0, device: str = "cpu") -> Inputs:
    """The tensors of a case; the same for the same case and device, torch's own generators are left alone."""
    generator = torch.Generator(device).manual_seed(seed)
    c, dtype = case.channels, getattr(torch, case.dtype)

    def normal(mean: float = 0.0) -> Tensor:
        drawn = torch.randn(case.shape, generator=generator, device=device).add_(mean)
        return laid_out(drawn.to(dtype), case.layout)

    def uniform() -> Tensor:
        return torch.rand(c, generator=generator, device=device) + 0.5

    bias, mean = (torch.randn(c, generator=generator, device=device) for _ in range(2))
    inputs = Inputs(
        x=normal(MEAN),
        residual=normal() if case.residual else None,
        grad=normal(),
        weight=uniform(),
        bias=bias / 2,
        mean=mean / 10 + MEAN,
        var=uniform(),
    )
    for leaf in inputs.leaves.values() if case.mode == TRAIN else ():
        leaf.requires_grad_()
    return inputs


def laid_out(tensor: Tensor, layout: str) -> Tensor:
    """The tensor in a layout."""
    if layout != CHANNELS_LAST:
        return tensor
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return tensor.contiguous(memory_format=formats[tensor.ndim])


def training(case: Case) -> bool:
    """Whether the case normalizes with the moments of the batch."""
    return case.mode != INFERENCE
