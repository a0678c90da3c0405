"""A network whose layers can be normalized, and then disturbed anew with every step, and what shifts inside of it."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from normwise.nn import BatchNorm1d
from normwise.nn.nonlinearity import nonlinearity

MEAN, DEVIATION, SINGLE = 0.5, 1.25, 0.1
"""How far a unit's mean is moved at most, by how much its deviation is multiplied at most, and how far both vary over
examples. The numbers are ours; a mean that is not zero, a variance that is not one and a distribution that changes in
every step are those of Santurkar et al. 2018, section 2.1."""


class Noise(nn.Module):
    """s·x + m, with s and m drawn around a mean and a deviation of each unit that are drawn anew in every step.

        μ_j ~ U(−0.5, 0.5)      σ_j ~ U(1, 1.25)      m_ij ~ U(μ_j − 0.1, μ_j + 0.1)      s_ij ~ N(σ_j, 0.1²)

    In evaluation s is the middle of its range and m is 0.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Disturb each unit of each example."""
        if not self.training:
            return x * (1 + DEVIATION) / 2
        mean = MEAN * (2 * torch.rand_like(x[:1]) - 1)
        deviation = 1 + (DEVIATION - 1) * torch.rand_like(x[:1])
        m = mean + SINGLE * (2 * torch.rand_like(x) - 1)
        return (deviation + SINGLE * torch.randn_like(x)) * x + m


class Network(nn.Module):
    """Fully connected layers: a linear map, batch normalization, noise and an activation each, then the output.

    Args:
        features: of the input.
        outputs: of the output.
        widths: of the hidden layers.
        activation: its name.
        std: of the initial weights; None for He's √(2/n).
        norm: whether there is batch normalization.
        noisy: whether there is noise.
    """

    def __init__(
        self,
        features: int,
        outputs: int,
        widths: Sequence[int],
        activation: str,
        std: float | None,
        *,
        norm: bool,
        noisy: bool,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for inputs, width in zip((features, *widths), (*widths, outputs), strict=False):
            linear = nn.Linear(inputs, width)
            nn.init.normal_(linear.weight, std=std or (2 / inputs) ** 0.5)
            nn.init.zeros_(linear.bias)
            hidden = len(self.layers) < len(widths)
            parts: list[nn.Module] = [linear]
            parts += [BatchNorm1d(width)] if norm and hidden else []
            parts += [Noise()] if noisy and hidden else []
            self.layers.append(nn.Sequential(*parts))
        self.activation = nonlinearity(activation)

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        return self.inputs(x)[-1]

    def inputs(self, x: Tensor) -> list[Tensor]:
        """What each activation receives, and the logits."""
        found: list[Tensor] = []
        for layer in self.layers:
            found.append(layer(self.activation(found[-1]) if found else x))
        return found


def distances(before: Sequence[Tensor], after: Sequence[Tensor]) -> list[float]:
    """By layer, the 1-Wasserstein distance between the values of a unit before and after, in its standard deviations.

    That is the mean distance of sorted values, divided by √((σ²_before + σ²_after)/2), and the mean over the units.
    """
    found = []
    for a, b in zip(before, after, strict=True):
        apart = (a.sort(0).values - b.sort(0).values).abs().mean(0)
        found.append((apart / ((a.var(0) + b.var(0)) / 2 + 1e-12).sqrt()).mean().item())
    return found


def gradient_shift(before: Network, after: Network, x: Tensor, y: Tensor) -> tuple[list[float], list[float]]:
    """By layer from the second on, what an update of the layers before it does to a layer's gradient.

    G_i is the gradient of W_i with all parameters before the update, G'_i with those of layers 1 to i − 1 after it:
    ‖G_i − G'_i‖ and the cosine between both. Santurkar et al. 2018, definition 2.1. Both use the same examples.
    """
    mixed = copy.deepcopy(before)
    weights = [value for name, value in mixed.named_parameters() if name.endswith(".0.weight")]  # of linear maps

    def loss() -> Tensor:
        with torch.random.fork_rng():
            torch.manual_seed(0)  # the same noise each time
            return F.cross_entropy(mixed(x), y)

    old = torch.autograd.grad(loss(), weights)
    differences, cosines = [], []
    for at in range(1, len(weights)):
        mixed.layers[at - 1].load_state_dict(after.layers[at - 1].state_dict())
        (new,) = torch.autograd.grad(loss(), [weights[at]])
        differences.append((old[at] - new).norm().item())
        cosines.append(F.cosine_similarity(old[at].flatten(), new.flatten(), dim=0).item())
    return differences, cosines
