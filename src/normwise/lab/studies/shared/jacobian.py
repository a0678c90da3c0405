"""The singular values of the Jacobians of a network's layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from normwise.lab.reproduction.context import Context
from normwise.lab.studies.networks.shifting import Network

WIDTH, LAYERS, RATE, BATCH = 100, 5, 0.1, 100


NEAR = (0.5, 2.0)
"""What counts as close to 1; ours. Of a square matrix of independent normal entries, scaled to a root mean square of 1,
68 % of the singular values lie there (the quarter circle law), so that this alone is no sign of anything."""


BINS, LOWEST, HIGHEST = 30, -4.0, 1.0
"""Of histograms, in powers of ten; what is smaller, zeros included, is in the lowest."""


def trained(context: Context, activation: str, std: float | None, norm: bool, steps: int) -> Mapping[str, Any]:
    """The singular values at the beginning and after training."""
    x, y = context.tensors("train", flat=True)
    widths = [WIDTH] * LAYERS
    net = Network(x.shape[1], int(y.max()) + 1, widths, activation, std, norm=norm, noisy=False).to(context.device)
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)
    found = {"initial": summary(jacobians(net, x[:500]))}
    for step in range(steps):
        chosen = torch.randint(len(x), (BATCH,)).to(context.device)
        optimizer.zero_grad()
        F.cross_entropy(net(x[chosen]), y[chosen]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        context.progress(step / steps)
    return found | {"trained": summary(jacobians(net, x[:500]))}


def jacobians(net: Network, x: Tensor, examples: int = 20) -> list[Tensor]:
    """Of each layer from the second on, ∂ẑ/∂x̂ at some examples, (examples, outputs, inputs).

    x̂ and ẑ are the normalized inputs of two activations in turn: ẑ = (W·g(γ·x̂ + β) − μ)/σ, with μ and σ those of the
    examples ``x`` and held fixed, so that J = diag(1/σ)·W·diag(g'(γ·x̂ + β))·diag(γ). Without normalization x̂ is what
    an activation receives, and J = W·diag(g'(x̂)).
    """
    found = []
    with torch.no_grad():
        received = net.inputs(x)
    layers = list(net.layers)
    for at in range(1, len(layers) - 1):
        given = received[at - 1].detach().requires_grad_()
        out = net.activation(given)
        (slope,) = torch.autograd.grad(out, given, torch.ones_like(out))
        parameters = dict(layers[at].named_parameters())
        W = parameters["0.weight"].detach()
        if "1.weight" in parameters:
            sigma = ((out.detach() @ W.T).var(0, unbiased=False) + 1e-5).sqrt()
            W, slope = W / sigma[:, None], slope * dict(layers[at - 1].named_parameters())["1.weight"].detach()
        found.append(W * slope[:examples, None, :])
    return found


def summary(each: Sequence[Tensor]) -> dict[str, Any]:
    """Histogram, share near 1 and root mean square of all singular values, and the latter of the first k layers."""
    values = torch.cat([torch.linalg.svdvals(J.double()).flatten() for J in each])
    counts = values.clamp(min=10**LOWEST, max=10**HIGHEST).log10().histc(BINS, LOWEST, HIGHEST)
    stacks = [reduce(lambda whole, J: J @ whole, each[1 : k + 1], each[0]) for k in range(len(each))]
    return {
        "counts": counts.tolist(),
        "near": ((values > NEAR[0]) & (values < NEAR[1])).double().mean().item(),
        "zero": (values < 10**LOWEST).double().mean().item(),
        "gain": values.square().mean().sqrt().item(),
        "stack": [(J.double().square().sum((1, 2)).mean() / J.shape[2]).sqrt().item() for J in stacks],
    }
