"""The networks of the end-to-end entries, each parametrised by its normalization: ``norm(features, activation)``.

What ``norm`` makes is called as ``layer(x)`` or ``layer(x, residual)`` and computes activation(BN(x) + residual).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from normwise.nn import BatchNorm1d, BatchNorm2d
from normwise.ops import activation as parse

Norm = Callable[..., nn.Module]


class TorchNorm(nn.Module):
    """The layer of torch, ``+= residual`` and its activation, ReLU in place, as torchvision's networks have them."""

    def __init__(self, features: int, activation: str | None = None, *, layer: Any = nn.BatchNorm2d) -> None:
        super().__init__()
        self.norm = layer(features)
        self.activation = nn.ReLU(inplace=True) if activation == "relu" else parse(activation or "identity").module()

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """Compute activation(BN(x) + residual)."""
        z = self.norm(x)
        if residual is not None:
            z += residual
        y: Tensor = self.activation(z)
        return y


def torch_norm(dims: int) -> Norm:
    """Normalization by torch for ``dims`` spatial axes, 0 or 2."""
    layer = nn.BatchNorm2d if dims else nn.BatchNorm1d
    return lambda features, activation=None: TorchNorm(features, activation, layer=layer)


def our_norm(dims: int) -> Norm:
    """Normalization by normwise for ``dims`` spatial axes, 0 or 2, with activation and residual fused."""
    layer = BatchNorm2d if dims else BatchNorm1d
    return lambda features, activation=None: layer(features, activation=activation)


class Block(nn.Module):
    """Two 3×3 convolutions and a way around them: He et al. 2016, arXiv:1512.03385, figure 2 left."""

    def __init__(self, norm: Norm, inputs: int, features: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, features, 3, stride, 1, bias=False)
        self.norm1 = norm(features, "relu")
        self.conv2 = nn.Conv2d(features, features, 3, 1, 1, bias=False)
        self.norm2 = norm(features, "relu")
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != features:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, features, 1, stride, bias=False), norm(features))

    def forward(self, x: Tensor) -> Tensor:
        """Compute relu(BN(conv(relu(BN(conv(x))))) + shortcut(x))."""
        y: Tensor = self.norm2(self.conv2(self.norm1(self.conv1(x))), self.shortcut(x))
        return y


class ResNet18(nn.Module):
    """ResNet-18 in its CIFAR shape: a 3×3 convolution in front and no pooling until the end.

    ``width`` is the number of features of the first stage, 64.
    """

    def __init__(self, norm: Norm, classes: int = 10, width: int = 64) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.norm = norm(width, "relu")
        stages, inputs = [], width
        for stage in range(4):
            features = width * 2**stage
            stages += [Block(norm, inputs, features, 1 + (stage > 0)), Block(norm, features, features, 1)]
            inputs = features
        self.blocks = nn.Sequential(*stages)
        self.output = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 32, 32) to (N, classes)."""
        y: Tensor = self.output(self.blocks(self.norm(self.conv(x))).mean((2, 3)))
        return y


class Bottleneck(nn.Module):
    """Convolutions of 1×1, 3×3 and 1×1 and a way around them: He et al. 2016, arXiv:1512.03385, figure 5 right.

    The 3×3 convolution has the stride, as networks have had it since.
    """

    def __init__(self, norm: Norm, inputs: int, features: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * features
        self.conv1 = nn.Conv2d(inputs, features, 1, bias=False)
        self.norm1 = norm(features, "relu")
        self.conv2 = nn.Conv2d(features, features, 3, stride, 1, bias=False)
        self.norm2 = norm(features, "relu")
        self.conv3 = nn.Conv2d(features, outputs, 1, bias=False)
        self.norm3 = norm(outputs, "relu")
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), norm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Compute relu(BN(conv(relu(BN(conv(relu(BN(conv(x)))))))) + shortcut(x))."""
        y = self.norm2(self.conv2(self.norm1(self.conv1(x))))
        z: Tensor = self.norm3(self.conv3(y), self.shortcut(x))
        return z


class ResNet50(nn.Module):
    """ResNet-50 for images of 224×224: He et al. 2016, arXiv:1512.03385, table 1.

    ``width`` is the number of features of the first stage, 64.
    """

    def __init__(self, norm: Norm, classes: int = 1000, width: int = 64) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.norm = norm(width, "relu")
        self.pool = nn.MaxPool2d(3, 2, 1)
        blocks: list[nn.Module] = []
        inputs = width
        for stage, depth in enumerate((3, 4, 6, 3)):
            features = width * 2**stage
            for place in range(depth):
                blocks.append(Bottleneck(norm, inputs, features, 2 if stage and not place else 1))
                inputs = 4 * features
        self.blocks = nn.Sequential(*blocks)
        self.output = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 224, 224) to (N, classes)."""
        y: Tensor = self.output(self.blocks(self.pool(self.norm(self.conv(x)))).mean((2, 3)))
        return y


def mlp(norm: Norm, inputs: int = 784, width: int = 100, classes: int = 10) -> nn.Module:
    """Three hidden layers of 100 sigmoid units, normalized: the network of the paper's section 4.1."""
    layers: list[nn.Module] = []
    for features in (inputs, width, width):
        layers += [nn.Linear(features, width, bias=False), norm(width, "sigmoid")]
    return nn.Sequential(*layers, nn.Linear(width, classes))


def stack(norm: Norm, depth: int = 24, features: int = 32) -> nn.Module:
    """``depth`` times convolution, normalization and ReLU, of one width."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Conv2d(features, features, 3, padding=1, bias=False), norm(features, "relu")]
    return nn.Sequential(*layers)


def chain(norm: Norm, features: int = 32) -> nn.Module:
    """Convolution, normalization, SiLU, convolution."""
    first, second = (nn.Conv2d(features, features, 3, padding=1, bias=False) for _ in range(2))
    return nn.Sequential(first, norm(features, "silu"), second)


def loss(network: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of the outputs, or their mean square where ``target`` has none of integers."""
    return F.mse_loss(network(x), target) if target.is_floating_point() else F.cross_entropy(network(x), target)
