"""Networks of the shapes that published cases have, with the initializations that they name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

Init = Callable[[Tensor], object]


def uniform(bound: float) -> Init:
    """U(−bound, bound); 0.05 is what Keras calls ``RandomUniform``."""
    return lambda weight: nn.init.uniform_(weight, -bound, bound)


def normal(std: float) -> Init:
    """N(0, std²)."""
    return lambda weight: nn.init.normal_(weight, std=std)


def constant(value: float) -> Init:
    """The same number everywhere."""
    return lambda weight: nn.init.constant_(weight, value)


def he(weight: Tensor) -> Tensor:
    """U(±√(6/fan_in)) (He et al. 2015)."""
    return nn.init.kaiming_uniform_(weight, nonlinearity="relu")


def lecun(weight: Tensor) -> Tensor:
    """N(0, 1/fan_in), for SELU."""
    return nn.init.kaiming_normal_(weight, nonlinearity="linear")


INITS: dict[str, Init] = {
    "glorot": nn.init.xavier_uniform_,
    "he": he,
    "lecun": lecun,
    "uniform": uniform(0.05),
    "unit": normal(1.0),
}


def drawn(network: nn.Module, init: str | Init) -> nn.Module:
    """The network with the weights of every linear map drawn anew, and biases of 0, as Keras has them."""
    if init == "default":
        return network
    draw = INITS[init] if isinstance(init, str) else init
    for module in network.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.Conv1d)):
            draw(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network


class Exp(nn.Module):
    """eˣ as an activation."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.exp(x)


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "selu": nn.SELU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.3),
    "exp": Exp,
    "linear": nn.Identity,
    "softmax": lambda: nn.Softmax(dim=1),
}


def dense(widths: Sequence[int], activation: str, norm: str = "", dropout: float = 0.0) -> Iterator[nn.Module]:
    """Linear maps between the widths, each with normalization, activation and dropout."""
    for fan_in, fan_out in pairwise(widths):
        yield nn.Linear(fan_in, fan_out)
        if norm:
            yield NORMS[norm](fan_out)
        if activation != "linear":
            yield ACTIVATIONS[activation]()
        if dropout:
            yield nn.Dropout(dropout)


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm1d,
    "layer": nn.LayerNorm,
    "group": lambda width: nn.GroupNorm(4, width),
}


def mlp(
    *widths: int,
    activation: str = "relu",
    init: str | Init = "glorot",
    last: str = "linear",
    norm: str = "",
    dropout: float = 0.0,
) -> nn.Module:
    """A multilayer perceptron from the first width to the last, whose activation is ``last``."""
    hidden = dense(widths[:-1], activation, norm, dropout)
    output = dense(widths[-2:], last)
    return drawn(nn.Sequential(nn.Flatten(), *hidden, *output), init)


def lenet(
    convolutions: Sequence[tuple[int, int]],
    widths: Sequence[int],
    *,
    side: int = 28,
    channels: int = 1,
    activation: str = "relu",
    init: str | Init = "glorot",
    last: str = "linear",
    classes: int = 10,
    norm: bool = False,
) -> nn.Module:
    """Convolutions of (channels, kernel) with 2×2 maxima between them, then linear maps of the given widths."""
    layers: list[nn.Module] = []
    for features, kernel in convolutions:
        layers += [nn.Conv2d(channels, features, kernel, padding=kernel // 2)]
        layers += [nn.BatchNorm2d(features)] if norm else []
        layers += [ACTIVATIONS[activation](), nn.MaxPool2d(2)]
        channels, side = features, side // 2
    widths = [channels * side * side, *widths]
    layers += [nn.Flatten(), *dense(widths, activation), *dense([widths[-1], classes], last)]
    return drawn(nn.Sequential(*layers), init)
