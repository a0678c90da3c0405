"""BN((aW)u) beside BN(Wu), and both gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from normwise.lab.reproduction.context import Context
from normwise.nn import BatchNorm1d

FACTORS = tuple(10.0 ** (power / 4) for power in range(-8, 9))


def layer(context: Context, eps: float) -> Mapping[str, Any]:
    """How far output and gradients of BN((aW)u) are from what the paper says, relative to the largest entry of each."""
    generator = torch.Generator().manual_seed(context.seed)
    u, W, upstream = (
        torch.randn(size, generator=generator, dtype=torch.float64) / divisor
        for size, divisor in (((60, 50), 1.0), ((40, 50), 50**0.5), ((60, 40), 1.0))
    )
    norm = BatchNorm1d(40, eps=eps, dtype=torch.float64)

    def step(a: float) -> tuple[Tensor, Tensor, Tensor]:
        inputs, weights = u.clone().requires_grad_(), (a * W).requires_grad_()
        y = norm(inputs @ weights.T)
        return y.detach(), *torch.autograd.grad(y, (inputs, weights), upstream)

    y, to_u, to_W = step(1.0)
    found = [step(a) for a in FACTORS]
    return {
        "output": [_off(one[0], y) for one in found],
        "inputs": [_off(one[1], to_u) for one in found],
        "weights": [_off(a * one[2], to_W) for a, one in zip(FACTORS, found, strict=True)],
        "norms": [(one[2].norm() / to_W.norm()).item() for one in found],
        "network": _network(eps, generator),
    }


def _network(eps: float, generator: torch.Generator) -> list[float]:
    """The same for the output of three layers of 40 ReLU units, all of whose weights are scaled."""
    u = torch.randn(60, 40, generator=generator, dtype=torch.float64)
    weights = [torch.randn(40, 40, generator=generator, dtype=torch.float64) / 40**0.5 for _ in range(3)]
    norm = BatchNorm1d(40, eps=eps, dtype=torch.float64)

    def output(a: float) -> Tensor:
        x = u
        for W in weights:
            x = nn.functional.relu(norm(x @ (a * W).T))
        return x.detach()

    return [_off(output(a), output(1.0)) for a in FACTORS]


def _off(value: Tensor, expected: Tensor) -> float:
    return ((value - expected).abs().max() / expected.abs().max()).item()
