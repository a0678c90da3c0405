"""Networks with what makes a surgery go wrong: sharing, functions instead of modules, BN in odd places."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

import normwise as nw


class Shared(nn.Module):
    """One convolution called twice, one BN called twice, one ReLU called everywhere.

    ``norm`` follows two convolutions that are called once, so it can go into both. ``twice`` is followed by a BN the
    first time and by another the second, so neither can go into it.
    """

    def __init__(self):
        super().__init__()
        self.act = nn.ReLU()
        self.left, self.right = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 1)
        self.norm = nn.BatchNorm2d(4)
        self.twice = nn.Conv2d(4, 4, 3, padding=1)
        self.first, self.second = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 5)

    def forward(self, x):
        x = self.act(self.norm(self.left(x))) + self.act(self.norm(self.right(x)))
        x = self.act(self.first(self.twice(x)))
        x = self.act(self.second(self.twice(x)))
        return self.fc(x.mean((2, 3)))


class SharedPair(nn.Module):
    """A convolution and its BN, called together three times: each call of one goes with one of the other."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.act = nn.ReLU()

    def forward(self, x):
        for _ in range(3):
            x = self.act(self.norm(self.conv(x)))
        return x


class Alias(nn.Module):
    """A block under two names, called under both: one convolution and one BN."""

    def __init__(self):
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU())
        self.two = self.one

    def forward(self, x):
        return self.two(self.one(x))


class Tied(nn.Module):
    """Two Linears with one weight Parameter; where ``norm``, a BN follows the first only, so the weight must stay."""

    def __init__(self, norm: bool = False):
        super().__init__()
        self.fc1, self.fc2, self.head = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 5)
        self.fc2.weight = self.fc1.weight
        self.norm = nn.BatchNorm1d(8) if norm else None

    def forward(self, x):
        x = self.fc1(x)
        x = x if self.norm is None else self.norm(x)
        return self.head(torch.tanh(self.fc2(torch.tanh(x))))


class Functional(nn.Module):
    """Everything that is not a convolution is a function; the BN's tensors belong to the network."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.fc = nn.Linear(4, 5)
        self.weight, self.bias = nn.Parameter(torch.ones(4)), nn.Parameter(torch.zeros(4))
        self.register_buffer("running_mean", torch.zeros(4))
        self.register_buffer("running_var", torch.ones(4))

    def forward(self, x):
        y = self.conv1(x)
        y = F.batch_norm(y, self.running_mean, self.running_var, self.weight, self.bias, self.training, 0.1, 1e-5)
        y = F.relu(y)
        y = y + F.relu(self.conv2(y))
        y = F.dropout(y.mean((2, 3)), 0.2, training=self.training)
        return self.fc(y)


class Branching(nn.Module):
    """What runs depends on the values, so it cannot be traced, and no BN can be folded.

    On the example ``block`` runs as a whole. On another one its convolution might run alone, as far as anyone can see.
    """

    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.plain = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())
        self.conv, self.norm = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 5)

    def forward(self, x):
        positive = x.mean() > 0
        x = self.block(x)
        x = self.plain(x if positive else -x)
        return self.fc(torch.relu(self.norm(self.conv(x))).mean((2, 3)))


class NormFirst(nn.Module):
    """BN on the input, before a convolution whose zero padding it would shift; then before one without; then a Linear.

    The last two can go into what follows them.
    """

    def __init__(self):
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3, padding=1)
        self.norm2, self.conv2 = nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, groups=2)
        self.norm3, self.fc = nn.BatchNorm1d(6), nn.Linear(6, 5)

    def forward(self, x):
        x = torch.relu(self.conv1(self.norm1(x)))
        x = torch.relu(self.conv2(self.norm2(x)))
        return self.fc(self.norm3(torch.amax(x, (2, 3))))


def bn_bn() -> nn.Sequential:
    """Two BNs that become one and two that vanish in the convolution before them."""
    return nn.Sequential(
        nn.BatchNorm2d(3), nn.BatchNorm2d(3), nn.ReLU(),
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.BatchNorm2d(4), nn.ReLU(),
    )  # fmt: skip


def affine_false() -> nn.Sequential:
    """A BN without γ and β, and one without running statistics, which takes those of the batch in evaluation too."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4, affine=False), nn.ReLU(),
        nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), nn.ReLU(),
    )  # fmt: skip


class Fused(nn.Module):
    """Our layers with an activation of their own, one of them after adding a residual."""

    def __init__(self):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(3, 4, 3, padding=1), nw.BatchNorm2d(4, activation="relu")
        self.conv2, self.norm2 = nn.Conv2d(4, 4, 3, padding=1), nw.BatchNorm2d(4, activation="relu")
        self.fc = nn.Linear(4, 5)

    def forward(self, x):
        x = self.norm1(self.conv1(x))
        return self.fc(self.norm2(self.conv2(x), residual=x).mean((2, 3)))


class NormAct(nn.BatchNorm2d):
    """A BN that activates, as popular collections of models have it."""

    def __init__(self, channels: int):
        super().__init__(channels)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.act(super().forward(x))


class StandardizedConv2d(nn.Conv2d):
    """A convolution that standardizes its weight when it is called, so that scaling the weight changes nothing."""

    def forward(self, x):
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        weight = weight / (weight.std((1, 2, 3), keepdim=True) + 1e-5)
        return self._conv_forward(x, weight, self.bias)


class HeConv2d(nn.Conv2d):
    """A convolution that is initialized in another way and otherwise torch's."""

    def reset_parameters(self):
        super().reset_parameters()
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")


class Subclassed(nn.Module):
    """The user's own layers. Only the BN after ``HeConv2d`` can be folded by who knows torch's layers alone."""

    def __init__(self):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(3, 4, 3, padding=1), NormAct(4)
        self.conv2, self.norm2 = StandardizedConv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.conv3, self.norm3 = HeConv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.relu, self.fc = nn.ReLU(), nn.Linear(4, 5)

    def forward(self, x):
        x = self.norm1(self.conv1(x))
        x = self.relu(self.norm2(self.conv2(x)))
        x = self.relu(self.norm3(self.conv3(x)))
        return self.fc(x.mean((2, 3)))
