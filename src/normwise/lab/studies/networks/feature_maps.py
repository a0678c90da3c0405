"""A small convolutional network that is normalized per feature map, per activation, or not at all."""

from __future__ import annotations

from torch import Tensor, nn

from normwise.nn import BatchNorm1d, BatchNorm2d

CHANNELS, SIZE = (8, 16), 28


class PerActivation(nn.Module):
    """Batch normalization of (N, C, H, W) with statistics, γ and β of their own for each of the C·H·W activations."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.norm = BatchNorm1d(channels * size * size)

    def forward(self, x: Tensor) -> Tensor:
        """Flatten, normalize each column over the batch, and restore the shape."""
        y: Tensor = self.norm(x.flatten(1)).reshape(x.shape)
        return y


def network(kind: str = "none") -> nn.Sequential:
    """Two blocks of 3×3 convolution, normalization, ReLU and 2×2 maximum, for images of 28×28; then ten outputs.

    Args:
        kind: ``map``, ``activation`` or ``none``.
    """
    layers: list[nn.Module] = []
    inputs, size = 1, SIZE
    for channels in CHANNELS:
        norms: dict[str, list[nn.Module]] = {
            "map": [BatchNorm2d(channels)],
            "activation": [PerActivation(channels, size)],
            "none": [],
        }
        convolution = nn.Conv2d(inputs, channels, 3, padding=1, bias=kind == "none")
        layers += [convolution, *norms[kind], nn.ReLU(), nn.MaxPool2d(2)]
        inputs, size = channels, size // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(inputs * size * size, 10))


def per_map() -> nn.Sequential:
    """One γ and one β for each feature map, as in section 3.2 of the paper."""
    return network("map")


def per_activation() -> nn.Sequential:
    """One γ and one β for each activation, as in the code behind note 004."""
    return network("activation")
