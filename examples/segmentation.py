"""A target for every pixel: a small U-Net that marks discs and squares, judged by intersection over union.

normwise compare --model examples/segmentation.py:make_model --data examples/segmentation.py:make_data \
    --metric iou --batch-size 20 --steps 300 --eval-every 20

What comes out: 78 % of the pixels are background, so that accuracy says little. Without normalization the network finds
the shapes and cannot tell discs from squares, IoU 0.55; with it, the IoU is 0.85 after as many steps.
"""

import torch
from torch import nn


def make_data():
    """Noisy images (N, 1, 24, 24) with a slanting brightness, and per pixel 0, 1 in a disc, 2 in a square."""
    torch.manual_seed(0)
    n = 600
    row, column = torch.arange(24.0)[:, None], torch.arange(24.0)
    centers, sizes = 5 + 14 * torch.rand(n, 2, 2, 1, 1), 3 + 3 * torch.rand(n, 2, 1, 1)
    down, across = row - centers[:, :, 0], column - centers[:, :, 1]
    disc = (down.square() + across.square()).sqrt()[:, 0] < sizes[:, 0]
    square = torch.maximum(down.abs(), across.abs())[:, 1] < sizes[:, 1]
    y = torch.where(disc, 1, torch.where(square, 2, 0))
    slope = torch.randn(n, 2, 1, 1) * 0.05
    images = (y > 0) + slope[:, 0] * row + slope[:, 1] * column + 0.2 * torch.randn(n, 24, 24)
    X = images[:, None]
    return (X[:480], y[:480]), (X[480:], y[480:])


def block(channels, width):
    return nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.ReLU())


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.fine, self.middle, self.coarse = block(1, 8), block(8, 16), block(16, 32)
        self.back_to_middle, self.back_to_fine = block(32 + 16, 16), block(16 + 8, 8)
        self.pool, self.enlarge = nn.MaxPool2d(2), nn.Upsample(scale_factor=2)
        self.out = nn.Conv2d(8, 3, 1)

    def forward(self, image):
        fine = self.fine(image)
        middle = self.middle(self.pool(fine))
        coarse = self.coarse(self.pool(middle))
        middle = self.back_to_middle(torch.cat([self.enlarge(coarse), middle], dim=1))
        return self.out(self.back_to_fine(torch.cat([self.enlarge(middle), fine], dim=1)))


make_model = UNet
