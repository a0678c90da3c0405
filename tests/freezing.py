"""Networks that are frozen, and what there is to tell of them."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

import normwise as nw

PARTS = {
    "both": {},
    "statistics": {"affine": False},
    "affine": {"statistics": False},
}


class Wide(nn.BatchNorm2d):
    """A subclass with a forward, a parameter and a child of its own."""

    def __init__(self, features):
        super().__init__(features)
        self.slope = nn.Parameter(torch.rand(1))
        self.inner = nn.BatchNorm2d(features)

    def forward(self, x):
        return self.slope * super().forward(x) + self.inner(x)


def trained(net, x):
    net(x)
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    return net


def network():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nw.BatchNorm2d(4, activation="relu"))
    return trained(net, torch.randn(4, 3, 2, 2))


def batch():
    return torch.randn(4, 3, 2, 2)


def norms(net):
    return [module for module in net.modules() if isinstance(module, (_BatchNorm, nw.FrozenBatchNorm))]


def state(net):
    return copy.deepcopy(net.state_dict())


def snapshot(net):
    """Everything about a network but what it is made of: names, kinds, sharing, modes, flags, devices, attributes."""
    modules = list(net.named_modules(remove_duplicate=False))
    first = {module: name for name, module in reversed(modules)}
    return {
        "modules": [(name, first[module], type(module), module.training, repr(module)) for name, module in modules],
        "attributes": [(name, sorted(vars(module)), list(module._forward_hooks)) for name, module in modules],
        "parameters": [(name, p.requires_grad, p.dtype, p.device) for name, p in net.named_parameters()],
        "buffers": [(name, b.dtype, b.device) for name, b in net.named_buffers()],
        "metadata": net.state_dict()._metadata,
    }


def step(net, x, modes=True):
    """y and the gradients of x and of the parameters that want one."""
    x = x.detach().requires_grad_()
    y = net.train(modes)(x)
    upstream = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    return [y, *torch.autograd.grad(y, [x, *(p for p in net.parameters() if p.requires_grad)], upstream)]
