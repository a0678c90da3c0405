"""Networks that are converted, and what must not change of them."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional as F

import normwise as nw
from zoo import ZOO, randomize

NORMED = {name: entry for name, entry in ZOO.items() if entry.norms}


OURS = {nw.BatchNorm1d, nw.BatchNorm2d, nw.BatchNorm3d}


def made(entry):
    return randomize(entry.make()), entry.example()


def modes(net):
    return [(name, module.training) for name, module in net.named_modules(remove_duplicate=False)]


def kinds(net):
    first = {}
    named = list(net.named_modules(remove_duplicate=False))
    for name, module in named:
        first.setdefault(module, name)
    return [(name, first[module], type(module)) for name, module in named]


def snapshot(net):
    """Everything about a network but what it computes."""
    modules = list(net.modules())
    return {
        "kinds": kinds(net),
        "modes": modes(net),
        "repr": repr(net),
        "attributes": [sorted(vars(module)) for module in modules],
        "hooks": [[len(getattr(m, k)) for k in vars(m) if k.endswith("_hooks")] for m in modules],
        "persistence": [module._non_persistent_buffers_set for module in modules],
        "parameters": [(name, p.requires_grad, p.dtype, p.device) for name, p in net.named_parameters()],
        "buffers": [(name, b.dtype, b.device) for name, b in net.named_buffers()],
        "metadata": net.state_dict()._metadata,
    }


def state(net):
    return copy.deepcopy(net.state_dict())


def run(net, x, training):
    """Outputs, gradients of inputs and parameters, and statistics after a step, from one state of the generator."""
    torch.manual_seed(3)
    net = copy.deepcopy(net).train(training)
    x = x.clone().requires_grad_() if x.is_floating_point() else x
    y = net(x)
    upstream = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=y.dtype)
    y.backward(upstream)
    gradients = {name: p.grad for name, p in net.named_parameters()} | {"x": x.grad}
    return y, gradients, {name: b for name, b in net.named_buffers() if not name.endswith("skipped")}


def close(got, want, digits=1e-10):
    torch.testing.assert_close(got, want, rtol=digits, atol=digits)


def batch():
    return torch.randn(4, 3, 5, 2)


def small(**options):
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, **options), nn.ReLU(inplace=True))
    return randomize(net)


def why(surgery, name):
    return next(change.why for change in surgery.changes if change.name == name and change.before != name)


class Shared(nn.Module):
    """A module that two layers share, one of which also needs another one."""

    def __init__(self, layer, *modules):
        super().__init__()
        self.one, self.two, self.modules_ = layer(), layer(), nn.ModuleList(modules)

    def forward(self, x):
        both, only = self.modules_
        return only(self.one(both(self.one(both(self.two(x))))))


class Residual(nn.Module):
    """All ways to add and to activate that are written in networks."""

    def __init__(self, way):
        super().__init__()
        self.conv, self.norm, self.way = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), way
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.way(self, self.norm(self.conv(x)), x)


def added_in_place(net, y, x):
    y += x
    return net.act(y)


RESIDUALS = {
    "plus": lambda net, y, x: F.relu(y + x),
    "plus from the right": lambda net, y, x: F.gelu(x + y, approximate="tanh"),
    "in place": added_in_place,
    "torch.add": lambda net, y, x: torch.sigmoid(torch.add(y, x)),
    "add as a method": lambda net, y, x: y.add(x).tanh(),
    "method in place": lambda net, y, x: y.add_(x).relu_(),
    "made afterwards": lambda net, y, x: F.silu(y + x.square()),
    "silu in place": lambda net, y, x: F.silu(y + x, inplace=True),
}


FUNCTIONS = {
    "relu": lambda net, y, x: F.relu(y),
    "relu, positional": lambda net, y, x: F.relu(y, True),
    "torch.relu": lambda net, y, x: torch.relu(y),
    "method": lambda net, y, x: y.relu(),
    "leaky": lambda net, y, x: F.leaky_relu(y, 0.2),
    "leaky, keyword": lambda net, y, x: F.leaky_relu(y, negative_slope=0.3, inplace=True),
    "leaky, default": lambda net, y, x: F.leaky_relu(y),
    "elu": lambda net, y, x: F.elu(y, alpha=0.5),
    "relu6": lambda net, y, x: F.relu6(y),
    "gelu": lambda net, y, x: F.gelu(y),
    "hardswish": lambda net, y, x: F.hardswish(y),
    "mish": lambda net, y, x: F.mish(y),
    "module that serves twice": lambda net, y, x: net.act(net.act(y).neg()),
}


def the_same(surgery, net, x):
    for training in (True, False):
        close(run(surgery.model, x, training), run(net, x, training), 1e-10 if x.dtype is torch.float64 else 1e-4)


class Both(nn.Module):
    """Two normalizations are added; only one can take the other up."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, x):
        return torch.relu(self.left(x) + self.right(x))


class Odd(nn.Module):
    """What must not be fused."""

    def __init__(self, way):
        super().__init__()
        self.norm, self.act, self.way = nn.BatchNorm2d(3), nn.ReLU(), way

    def forward(self, x):
        return self.way(self, x)


class Inside(nn.Conv2d):
    """A linear map that normalizes, into which a trace does not look."""

    def __init__(self):
        super().__init__(3, 3, 1)
        self.norm, self.act = nn.BatchNorm2d(3), nn.ReLU()

    def forward(self, x):
        return self.norm(super().forward(x))


class Modules(nn.Module):
    def __init__(self, way):
        super().__init__()
        self.inside, self.norm, self.way = Inside(), nw.BatchNorm2d(3), way
        self.relu, self.sigmoid = nn.ReLU(), nn.Sigmoid()

    def forward(self, x):
        return self.way(self, x)
