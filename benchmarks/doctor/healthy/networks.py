"""Networks of other kinds than a chain of linear maps."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TOKENS, LENGTH = 50, 24


class Block(nn.Module):
    """relu(x + BN(conv(relu(BN(conv(x))))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(x + self.norm2(self.conv2(y)))


class Residual(nn.Module):
    """A small residual network."""

    def __init__(self, channels: int = 16, blocks: int = 2, inputs: int = 1, zero_gamma: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(inputs, channels, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.blocks = nn.Sequential(*(Block(channels) for _ in range(blocks)))
        self.head = nn.Linear(channels, 10)
        if zero_gamma:
            for block in self.blocks:
                nn.init.zeros_(block.norm2.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(F.relu(self.norm(self.stem(x))))
        return self.head(x.mean((2, 3)))


class Unet(nn.Module):
    """One level of a U-Net: down, up, and the features from before beside."""

    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, channels, 3, padding=1)
        self.down = nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(2 * channels, channels, 2, stride=2)
        self.last = nn.Conv2d(2 * channels, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        before = F.relu(self.first(x))
        below = F.relu(self.down(before))
        return self.last(torch.cat([before, F.relu(self.up(below))], 1)).flatten(1)


class Recurrent(nn.Module):
    """An embedding, an LSTM or a GRU, and a linear map of its last state."""

    def __init__(self, kind: Callable[..., nn.Module], width: int = 32, classes: int = 2) -> None:
        super().__init__()
        self.embedding = nn.Embedding(TOKENS, width)
        self.cells = kind(width, width, batch_first=True)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cells(self.embedding(x))[0].mean(1))


class Transformer(nn.Module):
    """Embeddings of tokens and positions, two encoder layers, and a linear map of the mean."""

    def __init__(self, width: int = 32, classes: int = 2) -> None:
        super().__init__()
        self.embedding = nn.Embedding(TOKENS, width)
        self.position = nn.Parameter(torch.randn(LENGTH, width) / math.sqrt(width))
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.1, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(self.embedding(x) + self.position).mean(1))


class Bag(nn.Module):
    """The mean of embeddings, then a linear map."""

    def __init__(self, width: int = 32, classes: int = 2) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(TOKENS, width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.bag(x))


class Waves(nn.Module):
    """Convolutions of a signal."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv1d(1, 16, 7, padding=3), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(16, 32, 5, padding=2), nn.ReLU()
        )
        self.head = nn.Linear(32, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).amax(2))


class Graph(nn.Module):
    """Two graph convolutions, Â·X·W with one adjacency for all, over the pixels of a digit (four neighbors)."""

    def __init__(self, side: int = 8, width: int = 16) -> None:
        super().__init__()
        rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
        at = torch.stack([rows.flatten(), columns.flatten()], 1)
        near = ((at[:, None] - at[None]).abs().sum(2) <= 1).float()
        self.register_buffer("adjacency", near / near.sum(1, keepdim=True))
        self.place = nn.Parameter(torch.randn(side * side, width) * 0.3)
        self.first = nn.Linear(1, width)
        self.second = nn.Linear(width, width)
        self.head = nn.Linear(side * side * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.adjacency @ self.first(x.unsqueeze(2)) + self.place)
        return self.head(F.relu(self.adjacency @ self.second(x)).flatten(1))


class Vae(nn.Module):
    """A variational autoencoder of 64 pixels: reconstruction (as logits), mean and logarithm of the variance."""

    def __init__(self, width: int = 64, code: int = 8) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 2 * code))
        self.decoder = nn.Sequential(nn.Linear(code, width), nn.ReLU(), nn.Linear(width, 64))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, logarithm = self.encoder(x).chunk(2, 1)
        code = mean + torch.randn_like(mean) * torch.exp(logarithm / 2)
        return self.decoder(code), mean, logarithm
