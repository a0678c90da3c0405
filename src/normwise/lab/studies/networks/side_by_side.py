"""Many small networks trained at once, side by side in the first axis of each tensor.

Shapes: M networks, N examples, F features, B examples of a batch, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


class Networks(NamedTuple):
    """M fully connected ReLU networks of the same sizes.

    Attributes:
        weights: of each layer, (M, inputs, outputs).
        biases: of each layer, (M, 1, outputs).
    """

    weights: list[Tensor]
    biases: list[Tensor]

    @property
    def parameters(self) -> list[Tensor]:
        """Weights and biases."""
        return [*self.weights, *self.biases]

    def outputs(self, x_NF: Tensor, *, dropped: float = 0.0, scale: float = 1.0) -> Tensor:
        """Logits (M, N, C): hidden units multiplied by ``scale``, and dropped at random with probability ``dropped``.

        Dropout as note 004 has it: masks in training, a factor at inference. PyTorch's divides by the kept share in
        training instead; the two are equal but for that factor in the next layer's weights.
        """
        out = x_NF.expand(len(self.weights[0]), *x_NF.shape)
        for index, (weight, bias) in enumerate(zip(*self, strict=True)):
            out = torch.baddbmm(bias, out, weight)
            if index < len(self.weights) - 1:
                out = scale * out.relu()
                out = out * (torch.rand_like(out) >= dropped) if dropped else out
        return out


def he(count: int, sizes: Sequence[int], device: torch.device) -> Networks:
    """Networks with He's initial weights and biases of zero."""
    pairs = list(pairwise(sizes))
    weights = [torch.randn(count, a, b, device=device) * (2 / a) ** 0.5 for a, b in pairs]
    biases = [torch.zeros(count, 1, b, device=device) for _, b in pairs]
    return Networks([each.requires_grad_() for each in weights], [each.requires_grad_() for each in biases])


def fit(
    networks: Networks,
    data: tuple[Tensor, Tensor],
    step: Callable[[Networks], None],
    *,
    epochs: int,
    batch: int,
    dropped: float = 0.0,
    progress: Callable[[float], None] = lambda share: None,
) -> None:
    """Train each network on the same batches with the cross-entropy of its own outputs.

    Args:
        networks: changed in place.
        data: inputs (N, F) and labels (N).
        step: updates the networks from their gradients.
        epochs: passes over the data, each in an order of its own.
        batch: examples of a step.
        dropped: the share of hidden units dropped.
        progress: told the share of the epochs that are over.
    """
    x, y = data
    for epoch in range(epochs):
        for chosen in torch.split(torch.randperm(len(x)).to(x.device), batch):
            out_MBC = networks.outputs(x[chosen], dropped=dropped)
            labels = y[chosen].expand(len(out_MBC), -1).flatten()
            loss = len(out_MBC) * cross_entropy(out_MBC.flatten(0, 1), labels)  # the sum of the networks' losses
            for each in networks.parameters:
                each.grad = None
            loss.backward()  # type: ignore[no-untyped-call]
            step(networks)
        progress((epoch + 1) / epochs)


def descent(rates: Tensor, decays: Tensor | None = None) -> Callable[[Networks], None]:
    """Plain gradient descent, with a learning rate and a weight decay λ (of the penalty ½·λ·‖W‖²) of each network."""

    @torch.no_grad()
    def step(networks: Networks) -> None:
        for each in networks.parameters:
            assert each.grad is not None
            grad = each.grad
            if decays is not None and each.shape[1] > 1:
                grad = grad + decays.reshape(-1, 1, 1) * each
            each -= rates.reshape(-1, 1, 1) * grad

    return step


@torch.no_grad()
def over_masks(networks: Networks, x: Tensor, dropped: float, counts: list[int]) -> dict[int, Tensor]:
    """The average of the probabilities over the first 1, 2, … masks, each example with masks of its own."""
    total, found = torch.zeros(len(x), 10, device=x.device), {}
    for count in range(1, max(counts) + 1):
        total += networks.outputs(x, dropped=dropped)[0].softmax(1)
        if count in counts:
            found[count] = total / count
    return found


@torch.no_grad()
def right(networks: Networks, x: Tensor, y: Tensor) -> Tensor:
    """Whether each network is right on each example (M, N); never where its outputs are not finite."""
    out = networks.outputs(x)
    return (out.argmax(2) == y) & out.isfinite().all(2)
