import pytest
import torch
from torch import nn

import normwise.nn
from normwise.bench import networks


def built(make, norm):
    torch.manual_seed(0)
    return make(norm)


@pytest.mark.parametrize(
    ("make", "dims", "shape"),
    [
        (lambda norm: networks.ResNet18(norm, width=4), 2, (3, 3, 16, 16)),
        (lambda norm: networks.mlp(norm, inputs=7, width=5), 0, (6, 7)),
        (lambda norm: networks.stack(norm, depth=3, features=4), 2, (2, 4, 6, 6)),
        (lambda norm: networks.chain(norm, features=4), 2, (2, 4, 6, 6)),
    ],
)
def test_both_normalizations_give_the_same_network(make, dims, shape):
    ours, torchs = built(make, networks.our_norm(dims)), built(make, networks.torch_norm(dims))
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in torchs.parameters())
    x = torch.randn(shape)
    outputs = [network(x) for network in (ours, torchs)]
    torch.testing.assert_close(*outputs, rtol=1e-3, atol=1e-4)  # float32 through up to 20 normalizations
    gradients = [
        torch.autograd.grad(output.square().mean(), list(network.parameters()))
        for output, network in zip(outputs, (ours, torchs), strict=True)
    ]
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-2, atol=1e-4)  # the same, through the backward too


def test_resnet_18_has_its_layers():
    network = networks.ResNet18(networks.our_norm(2))
    assert sum(p.numel() for p in network.parameters()) == 11_173_962  # as counted for CIFAR-10 elsewhere
    layers = [module for module in network.modules() if isinstance(module, normwise.nn.BatchNorm2d)]
    assert len(layers) == 20
    assert [layer.activation for layer in layers].count(None) == 3  # the shortcuts'
    assert sum(isinstance(module, nn.Conv2d) for module in network.modules()) == 20
