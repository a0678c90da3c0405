"""Networks whose branches are concatenated."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional as F


class DenseLayer(nn.Module):
    """BN, ReLU and a 1×1 convolution, then BN, ReLU and a 3×3 convolution, over everything made so far."""

    def __init__(self, channels: int, growth: int, drop: float):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(channels, 2 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(2 * growth)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(2 * growth, growth, 3, padding=1, bias=False)
        self.drop = drop

    def forward(self, features):
        x = self.conv1(self.relu1(self.norm1(torch.cat(features, 1))))
        x = self.conv2(self.relu2(self.norm2(x)))
        return F.dropout(x, p=self.drop, training=self.training)


class DenseBlock(nn.ModuleDict):
    """Dense layers, each of which sees the outputs of all before it."""

    def __init__(self, layers: int, channels: int, growth: int):
        super().__init__()
        for i in range(layers):
            self[f"denselayer{i + 1}"] = DenseLayer(channels + i * growth, growth, drop=0.1)

    def forward(self, x):
        features = [x]
        for layer in self.values():
            features.append(layer(features))
        return torch.cat(features, 1)


def _transition(channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            norm=nn.BatchNorm2d(channels),
            relu=nn.ReLU(inplace=True),
            conv=nn.Conv2d(channels, out, 1, bias=False),
            pool=nn.AvgPool2d(2, 2),
        )
    )


class DenseNet(nn.Module):
    """Huang et al., arXiv:1608.06993, with torchvision's names. ``norm0`` and each ``norm2`` follow a convolution."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            OrderedDict(
                conv0=nn.Conv2d(3, 4, 3, padding=1, bias=False),
                norm0=nn.BatchNorm2d(4),
                relu0=nn.ReLU(inplace=True),
                pool0=nn.MaxPool2d(3, 2, 1),
                denseblock1=DenseBlock(2, 4, growth=2),
                transition1=_transition(8, 4),
                denseblock2=DenseBlock(1, 4, growth=2),
                norm5=nn.BatchNorm2d(6),
            )
        )
        self.classifier = nn.Linear(6, 5)

    def forward(self, x):
        x = F.relu(self.features(x), inplace=True)
        return self.classifier(torch.flatten(F.adaptive_avg_pool2d(x, (1, 1)), 1))


class BasicConv2d(nn.Module):
    """A convolution without bias, BN and ReLU."""

    def __init__(self, channels: int, out: int, **options):
        super().__init__()
        self.conv = nn.Conv2d(channels, out, bias=False, **options)
        self.bn = nn.BatchNorm2d(out, eps=0.001)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)), inplace=True)


class InceptionBlock(nn.Module):
    """The four branches of section 4.2.1 of the batch normalization paper: two 3×3 take the place of the 5×5."""

    def __init__(self, channels: int):
        super().__init__()
        self.branch1x1 = BasicConv2d(channels, 2, kernel_size=1)
        self.branch3x3 = nn.Sequential(
            BasicConv2d(channels, 3, kernel_size=1), BasicConv2d(3, 4, kernel_size=3, padding=1)
        )
        self.branch_double = nn.Sequential(
            BasicConv2d(channels, 2, kernel_size=1),
            BasicConv2d(2, 3, kernel_size=(1, 3), padding=(0, 1)),
            BasicConv2d(3, 3, kernel_size=(3, 1), padding=(1, 0)),
        )
        self.branch_pool = BasicConv2d(channels, 2, kernel_size=1)

    def forward(self, x):
        pooled = F.avg_pool2d(x, 3, stride=1, padding=1)
        branches = [self.branch1x1(x), self.branch3x3(x), self.branch_double(x), self.branch_pool(pooled)]
        return torch.cat(branches, 1)


class Inception(nn.Module):
    """Ioffe & Szegedy, arXiv:1502.03167, appendix."""

    def __init__(self):
        super().__init__()
        self.stem = BasicConv2d(3, 4, kernel_size=3, stride=2, padding=1)
        self.mixed1 = InceptionBlock(4)
        self.mixed2 = InceptionBlock(11)
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(11, 5)

    def forward(self, x):
        x = self.mixed2(F.max_pool2d(self.mixed1(self.stem(x)), 2))
        return self.fc(self.dropout(x.mean((2, 3))))


def _double(channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU(inplace=True),
        nn.Conv2d(out, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU(inplace=True),
    )  # fmt: skip


class UNet(nn.Module):
    """Ronneberger et al., arXiv:1505.04597, with padding and BN; BN and ReLU also after each up-convolution."""

    def __init__(self):
        super().__init__()
        self.down1, self.down2, self.bottom = _double(1, 4), _double(4, 6), _double(6, 8)
        self.pool = nn.MaxPool2d(2)
        self.up2 = nn.ConvTranspose2d(8, 6, 2, stride=2)
        self.up2_bn = nn.BatchNorm2d(6)
        self.merge2 = _double(12, 6)
        self.up1 = nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1)
        self.up1_bn = nn.BatchNorm2d(4)
        self.merge1 = _double(8, 4)
        self.outc = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        fine = self.down1(x)
        coarse = self.down2(self.pool(fine))
        x = self.bottom(self.pool(coarse))
        x = self.merge2(torch.cat([coarse, F.relu(self.up2_bn(self.up2(x)))], 1))
        x = self.merge1(torch.cat([fine, F.relu(self.up1_bn(self.up1(x)))], 1))
        return self.outc(x)
