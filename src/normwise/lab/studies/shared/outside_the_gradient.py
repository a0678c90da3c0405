"""Networks whose normalization the gradient sees or does not see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from normwise.lab.reproduction.context import Context

WIDTH, LAYERS = 100, 3
"""As in the paper's section 4.1."""


EXAMPLES, BATCH = 2000, 100


class Normalized(nn.Module):
    """x̂ = x − E[x] of x = u + b, or (x − E[x])/√(Var[x] + ε); constants to the gradient where it is ``outside``."""

    def __init__(self, width: int, *, scales: bool, outside: bool) -> None:
        super().__init__()
        self.b = nn.Parameter(torch.zeros(width))
        self.scales, self.outside = scales, outside

    def forward(self, u: Tensor) -> Tensor:
        """Normalize over the batch."""
        x = u + self.b
        seen = x.detach() if self.outside else x
        centered = x - seen.mean(0)
        return centered / (seen.var(0, unbiased=False) + 1e-5).sqrt() if self.scales else centered


def network(features: int, outputs: int, kind: str) -> nn.Sequential:
    """Sigmoid layers whose inputs are normalized; no γ and no β, as in the paper's example."""
    parts: list[nn.Module] = []
    for inputs in (features, *[WIDTH] * (LAYERS - 1)):
        norm = Normalized(WIDTH, scales=kind in ("both", "bn"), outside=kind in ("outside", "both"))
        parts += [nn.Linear(inputs, WIDTH, bias=False), norm, nn.Sigmoid()]
    return nn.Sequential(*parts, nn.Linear(WIDTH, outputs))


def only_b(context: Context, steps: int, outside: bool) -> Mapping[str, Any]:
    """The paper's example itself: E[x] over all examples, of which b alone is trained; in float64."""
    x, y = (each[:EXAMPLES] for each in context.tensors("train", flat=True))
    net = network(x.shape[1], int(y.max()) + 1, "outside" if outside else "inside").to(context.device).double()
    biases = [part.b for part in net if isinstance(part, Normalized)]
    optimizer = torch.optim.SGD(biases, lr=1.0)
    losses, sizes = [], []
    for step in range(steps + 1):
        loss = F.cross_entropy(net(x.double()), y)
        losses.append(loss.item())
        sizes.append(_size(biases))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        context.progress(step / steps)
    return {"losses": losses, "sizes": sizes}


def all_parameters(context: Context, kind: str, rate: float, steps: int) -> Mapping[str, Any]:
    """The same with every parameter trained on mini-batches, whose own mean is subtracted."""
    x, y = (each[:EXAMPLES] for each in context.tensors("train", flat=True))
    net = network(x.shape[1], int(y.max()) + 1, kind).to(context.device)
    biases = [part.b for part in net if isinstance(part, Normalized)]
    weights = [part.weight for part in net if isinstance(part, nn.Linear)]
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    found: dict[str, list[float | None]] = {"steps": [], "losses": [], "sizes": [], "weights": []}
    every = max(1, steps // 40)
    for step in range(steps + 1):
        if step % every == 0:
            with torch.no_grad():
                loss = F.cross_entropy(net(x), y).item()
            row = {"steps": step, "losses": loss, "sizes": _size(biases), "weights": _size(weights)}
            for name, value in row.items():
                found[name].append(value if isfinite(value) else None)
        batch = torch.randint(len(x), (BATCH,), device="cpu").to(context.device)
        optimizer.zero_grad()
        F.cross_entropy(net(x[batch]), y[batch]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        context.progress(step / steps)
    return {"kind": kind, "rate": rate, **found}


def _size(tensors: Sequence[Tensor]) -> float:
    return float(torch.stack([tensor.detach().norm() for tensor in tensors]).norm())
