"""The networks of fresh cases."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.doctor.build import Init, drawn
from benchmarks.doctor.fresh.data import LENGTH, TOKENS

Make = Callable[[], nn.Module]


def chain(
    *widths: int, of: Make = nn.ReLU, init: str | Init = "glorot", last: Make | None = None, dropout: float = 0.0
) -> nn.Sequential:
    """Linear maps between the widths with activations ``of`` between them, and ``last`` after the last one."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths[:-1]):
        layers += [nn.Linear(fan_in, fan_out), of(), *([nn.Dropout(dropout)] if dropout else [])]
    layers += [nn.Linear(*widths[-2:]), *([last()] if last else [])]
    network = drawn(nn.Sequential(*layers), init)
    assert isinstance(network, nn.Sequential)
    return network


def deep(
    fan_in: int, width: int, depth: int, fan_out: int, of: Make = nn.Tanh, init: str | Init = "glorot"
) -> nn.Module:
    """A chain of ``depth`` layers of one width."""
    return chain(fan_in, *[width] * depth, fan_out, of=of, init=init)


def shifted(bias: float, *widths: int) -> nn.Module:
    """A chain of ReLU whose hidden biases begin at ``bias``."""
    network = chain(*widths, init="he")
    for layer in [each for each in network if isinstance(each, nn.Linear)][:-1]:
        nn.init.constant_(layer.bias, bias)
    return network


def signal(of: Make = nn.ReLU, init: str | Init = "default", outputs: int = 4, dropout: float = 0.0) -> nn.Module:
    """Three 1-d convolutions, the maximum over time, and a linear map."""
    layers: list[nn.Module] = []
    for channels, features, kernel in ((1, 8, 7), (8, 16, 5), (16, 16, 5)):
        layers += [nn.Conv1d(channels, features, kernel, padding=kernel // 2), of()]
    layers += [nn.AdaptiveMaxPool1d(1), nn.Flatten(), *([nn.Dropout(dropout)] if dropout else [])]
    return drawn(nn.Sequential(*layers, nn.Linear(16, outputs)), init)


def bottleneck(of: Make = nn.ELU, init: str | Init = "default", last: Make | None = None) -> nn.Module:
    """An autoencoder of 64 pixels with a code of 10."""
    return chain(64, 48, 10, 48, 64, of=of, init=init, last=last)


def clothes(of: Make = nn.PReLU, outputs: int = 10) -> nn.Module:
    """Two convolutions with strides, for 28×28 pixels."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2, padding=2), of(), nn.Conv2d(8, 16, 5, stride=2, padding=2), of(),
        nn.Flatten(), nn.Linear(784, outputs),
    )  # fmt: skip


class Words(nn.Module):
    """Embeddings of tokens, their mean, and a linear map through one hidden layer."""

    def __init__(self, words: int = 120, width: int = 24, classes: int = 4, std: float = 1.0) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        nn.init.normal_(self.embedding.weight, std=std)
        self.head = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.embedding(x).mean(1))


class Phrases(nn.Module):
    """Embeddings of tokens, convolutions of pairs, the maximum over places (Kim 2014)."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.embedding = nn.Embedding(TOKENS, width)
        self.pairs = nn.Conv1d(width, 32, 2)
        self.wide = nn.Conv1d(32, 32, 5)
        self.head = nn.Linear(32, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.pairs(self.embedding(x).transpose(1, 2)))
        return self.head(F.relu(self.wide(x)).amax(2))


class Reader(nn.Module):
    """Embeddings, a recurrent layer, and a linear map of its last state."""

    def __init__(self, kind: Callable[..., nn.Module] = nn.LSTM, width: int = 24, cut: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(TOKENS, width)
        self.cells = kind(width, width, batch_first=True)
        self.head = nn.Linear(width, 2)
        self.cut = cut

    def forward(self, x: Tensor) -> Tensor:
        state = self.cells(self.embedding(x))[0][:, -1]
        return self.head(state.detach() if self.cut else state)


class Walker(nn.Module):
    """A recurrent layer over numbers and a linear map of its last state."""

    def __init__(self, kind: Callable[..., nn.Module] = nn.LSTM, width: int = 24) -> None:
        super().__init__()
        self.cells = kind(1, width, batch_first=True)
        self.head = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cells(x)[0][:, -1])


def identity_recurrent(width: int = 24) -> nn.Module:
    """A recurrent layer of ReLU that begins as the identity (Le et al. 2015)."""
    network = Walker(lambda *sizes, **options: nn.RNN(*sizes, nonlinearity="relu", **options), width)
    nn.init.eye_(network.cells.weight_hh_l0)
    nn.init.zeros_(network.cells.bias_hh_l0)
    nn.init.zeros_(network.cells.bias_ih_l0)
    return network


class Attention(nn.Module):
    """Embeddings of tokens and of places, one encoder layer with GELU, and a linear map of the mean."""

    def __init__(self, width: int = 24, dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = nn.Embedding(TOKENS, width)
        self.place = nn.Embedding(LENGTH, width)
        self.layer = nn.TransformerEncoderLayer(width, 3, 2 * width, dropout, "gelu", batch_first=True)
        self.head = nn.Linear(width, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(self.embedding(x) + self.place.weight).mean(1))


class Branch(nn.Module):
    """x + V·relu(W·x), without normalization."""

    def __init__(self, width: int, zero: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        drawn(self, "he")
        if zero:
            nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(x)))


def residual(blocks: int, fan_in: int = 4, width: int = 32, outputs: int = 3, zero: bool = True) -> nn.Module:
    """Residual branches without normalization, which begin as the identity with ``zero`` (Zhang et al. 2019)."""
    branches = [Branch(width, zero) for _ in range(blocks)]
    return nn.Sequential(nn.Linear(fan_in, width), *branches, nn.Linear(width, outputs))


class Gated(nn.Module):
    """Gated linear units: a(x)·sigmoid(b(x)) (Dauphin et al. 2017)."""

    def __init__(self, fan_in: int, width: int, fan_out: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(fan_in, 2 * width), nn.Linear(width, 2 * width)
        self.head = nn.Linear(width, fan_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.glu(self.second(F.glu(self.first(x)))))


class Cosines(nn.Module):
    """cos(W·x + b) with fixed W and b, and a small network of it (Rahimi and Recht 2007)."""

    def __init__(self, features: int = 64, scale: float = 20.0) -> None:
        super().__init__()
        self.register_buffer("frequency", scale * torch.randn(1, features))
        self.register_buffer("phase", 6.28 * torch.rand(features))
        self.head = chain(features, 32, 1, of=nn.SiLU, init="default")

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.cos(x @ self.frequency + self.phase))


class Largest(nn.Module):
    """The largest share of a layer's outputs, and 0 for all others."""

    def __init__(self, share: float = 0.3) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        least = x.topk(int(self.share * x.shape[1]), 1).values[:, -1:]
        return torch.where(x >= least, x, 0)
