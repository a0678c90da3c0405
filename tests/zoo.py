"""The networks that surgery is tested on, what is known about each, and what the tests do with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from networks import awkward, branches, chains, residual, sequences


@dataclass(frozen=True)
class Entry:
    """A network and what is known about it.

    Attributes:
        make: builds it anew; the weights come from torch's global generator, and it is in training mode.
        example: a batch of four inputs, from the same generator.
        output: the shape of what it makes of them.
        traceable: whether ``torch.fx`` can follow its forward.
        norms: how many BN modules it has, each counted once.
        functional: how many calls of ``F.batch_norm``.
        foldable: how many of both a fold can remove for good, without copying a shared module or untying a weight.
        published: the name of the same network with BN where the publication, or torchvision, has it.
    """

    name: str
    make: Callable[[], nn.Module]
    example: Callable[[], Tensor]
    output: tuple[int, ...] = (4, 5)
    traceable: bool = True
    norms: int = 0
    functional: int = 0
    foldable: int = 0
    published: str | None = None

    def __str__(self) -> str:
        return self.name


def _normal(*shape: int) -> Callable[[], Tensor]:
    return lambda: torch.randn(4, *shape)


def _tokens() -> Tensor:
    return torch.randint(0, 11, (4, 7))


_IMAGE, _SMALL = _normal(3, 16, 16), _normal(3, 8, 8)

_ENTRIES = (
    Entry("vgg", chains.VGG, _IMAGE, published="vgg_bn"),
    Entry("vgg_bn", lambda: chains.VGG(norm=True), _IMAGE, norms=4, foldable=4),
    Entry("alexnet", chains.AlexNet, _IMAGE, published="alexnet_bn"),
    Entry("alexnet_bn", lambda: chains.AlexNet(norm=True), _IMAGE, norms=3, foldable=3),
    Entry("mlp", chains.mlp, _normal(12)),
    Entry("gan", chains.Generator, _normal(6, 1, 1), output=(4, 3, 8, 8), norms=2, foldable=2),
    Entry("gan_plain", lambda: chains.Generator(norm=False), _normal(6, 1, 1), output=(4, 3, 8, 8), published="gan"),
    Entry("conv1d", chains.conv1d, _normal(3, 16), norms=2, foldable=2),
    Entry("conv3d", chains.conv3d, _normal(2, 8, 8, 8), output=(4, 2, 8, 8, 8), norms=2, foldable=2),
    Entry("resnet", residual.ResNet, _IMAGE, norms=8, foldable=8),
    Entry("resnet_plain", residual.PlainResNet, _IMAGE, published="resnet"),
    Entry("preact_resnet", residual.PreactResNet, _SMALL, norms=5, foldable=2),
    Entry("mobilenet_v2", residual.MobileNetV2, _IMAGE, norms=10, foldable=10),
    Entry("densenet", branches.DenseNet, _IMAGE, norms=9, foldable=4),
    Entry("inception_bn", branches.Inception, _SMALL, norms=15, foldable=15),
    Entry("unet", branches.UNet, _normal(1, 16, 16), output=(4, 2, 16, 16), norms=12, foldable=12),
    Entry("lstm", sequences.LSTMClassifier, _tokens),
    Entry("vit", sequences.ViT, _SMALL),
    Entry("sequence", sequences.Sequence, _normal(3, 7), output=(4, 7, 5), published="sequence_bn"),
    Entry("sequence_bn", sequences.NormalizedSequence, _normal(3, 7), output=(4, 7, 5), norms=2, foldable=2),
    Entry("shared", awkward.Shared, _SMALL, norms=3, foldable=1),
    Entry("shared_pair", awkward.SharedPair, _SMALL, output=(4, 3, 8, 8), norms=1, foldable=1),
    Entry("alias", awkward.Alias, _SMALL, output=(4, 3, 8, 8), norms=1, foldable=1),
    Entry("tied", awkward.Tied, _normal(8), published="tied_bn"),
    Entry("tied_bn", lambda: awkward.Tied(norm=True), _normal(8), norms=1),
    Entry("functional", awkward.Functional, _SMALL, functional=1, foldable=1),
    Entry("branching", awkward.Branching, _SMALL, traceable=False, norms=2),
    Entry("bn_first", awkward.NormFirst, _SMALL, norms=3, foldable=2),
    Entry("bn_bn", awkward.bn_bn, _SMALL, output=(4, 4, 8, 8), norms=4, foldable=3),
    Entry("affine_false", awkward.affine_false, _SMALL, output=(4, 4, 6, 6), norms=2, foldable=1),
    Entry("fused", awkward.Fused, _SMALL, norms=2, foldable=2),
    Entry("subclassed", awkward.Subclassed, _SMALL, norms=3, foldable=1),
)

ZOO: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}
"""Every network under its name."""


@torch.no_grad()
def randomize(network: nn.Module) -> nn.Module:
    """Move the statistics, γ and β of every BN away from their defaults, in place, and return the network.

    Variances lie in (0.5, 2), |γ| in (0.5, 1.5) with alternating signs. Tensors that a network itself hands to
    ``F.batch_norm`` count where they have BN's names.
    """
    for module in network.modules():
        mean, var = getattr(module, "running_mean", None), getattr(module, "running_var", None)
        if mean is not None and var is not None:
            mean.normal_(0, 0.5)
            var.uniform_(0.5, 2)
        if hasattr(module, "running_mean") and module.weight is not None:
            signs = 1 - 2 * (torch.arange(len(module.weight)) % 2)
            module.weight.uniform_(0.5, 1.5).mul_(signs.to(module.weight))
        if hasattr(module, "running_mean") and module.bias is not None:
            module.bias.normal_(0, 0.5)
    return network


def describe(network: nn.Module) -> list[tuple[str, str]]:
    """The dotted name and the class name of every module, in registration order."""
    return [(name, type(module).__name__) for name, module in network.named_modules()]
