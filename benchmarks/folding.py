"""What folding saves: inference by a network with torch's batch normalization, and by the folded one, in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn

import normwise as nw
from benchmarks.pair import Pair, seconds
from normwise.bench.networks import ResNet18, torch_norm

ROUNDS = 10  # pairs for each that is asked for
SHAPES = {"one": (1, 3, 64, 64), "batch": (16, 3, 64, 64)}


class InvertedResidual(nn.Module):
    """A 1×1 expansion, a depthwise convolution and a linear 1×1 projection: Sandler et al., arXiv:1801.04381."""

    def __init__(self, inputs: int, outputs: int, stride: int, expand: int = 6) -> None:
        super().__init__()
        hidden = inputs * expand
        self.body = nn.Sequential(
            nn.Conv2d(inputs, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(inplace=True),
            nn.Conv2d(hidden, hidden, 3, stride, padding=1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(inplace=True),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.adds else self.body(x)


def mobilenet() -> nn.Module:
    """Ten blocks as MobileNetV2 has them, a pooling and a classifier."""
    widths = [32, 16, 24, 24, 32, 32, 32, 64, 64, 64, 64]
    stem = [nn.Conv2d(3, 32, 3, 2, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU6(inplace=True)]
    blocks = [InvertedResidual(inputs, outputs, 2 if outputs > inputs else 1) for inputs, outputs in pairwise(widths)]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 10))


def resnet() -> nn.Module:
    return ResNet18(torch_norm(2), width=32)


def pairs(make: Callable[[], nn.Module], size: str) -> Callable[[int], Iterator[Pair]]:
    """``ROUNDS``·n pairs of the network in evaluation and of the folded one."""

    def measure(n: int) -> Iterator[Pair]:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        network, x = make(), torch.randn(*SHAPES[size])
        network(x)  # so that its statistics are those of what it sees
        network.eval()
        surgery = nw.fold(network, example=x)
        assert all(change.after == "Identity" for change in surgery.changes)
        calls = max(1, 16 // len(x))
        with torch.inference_mode():
            ways = [lambda: network(x), lambda: surgery.model(x)]
            for way in ways:
                seconds(way, calls)
            for _ in range(ROUNDS * n):
                yield Pair(*(seconds(way, calls) for way in ways))

    return measure


CASES = {
    f"{name}-{size}": (f"inference before over after folding, {name}, {'x'.join(map(str, SHAPES[size]))}", make, size)
    for name, make in (("resnet", resnet), ("mobilenet", mobilenet))
    for size in SHAPES
}
