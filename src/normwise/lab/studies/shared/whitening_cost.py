"""The time that layers take, and what networks learn with them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from normwise.lab.reproduction.context import Context
from normwise.nn import BatchNorm1d, Whitening

LAYERS: Mapping[str, Callable[[int], nn.Module]] = {
    "BN": BatchNorm1d,
    "ZCA": lambda width: Whitening(width, method="zca"),
    "Newton": lambda width: Whitening(width, method="newton"),
    "Newton, groups of 64": lambda width: Whitening(width, groups=max(1, width // 64)),
}


BATCH = 256
"""More examples than a layer of the trained network has features, so that a batch's covariance has an inverse."""


WIDTH, RATE = 128, 0.1


def times(context: Context, widths: Sequence[int], rounds: int) -> Mapping[str, Any]:
    """Seconds of forward and backward of each layer, by width: medians over rounds in which all take turns."""
    layers = {(name, width): make(width).to(context.device) for name, make in LAYERS.items() for width in widths}
    inputs = {width: torch.randn(BATCH, width, device=context.device).requires_grad_() for width in widths}
    found: dict[tuple[str, int], list[float]] = {key: [] for key in layers}
    for turn in range(rounds + 1):
        for (name, width), layer in layers.items():
            start = _clock(context)
            layer(inputs[width]).backward(torch.ones_like(inputs[width]))
            if turn:  # the first warms up
                found[name, width].append(_clock(context) - start)
        context.progress(turn / rounds)
    return {
        "widths": list(widths),
        **{name: [median(found[name, width]) for width in widths] for name in LAYERS},
    }


def _clock(context: Context) -> float:
    """Seconds: of the process on a CPU, which other processes do not lengthen; of the wall on other devices."""
    if context.device.type == "cpu":
        return time.process_time()
    torch.accelerator.synchronize()
    return time.perf_counter()


def learning(context: Context, kind: str, steps: int) -> Mapping[str, Any]:
    """Test accuracy over the steps and over the seconds of training of two hidden ReLU layers."""
    x, y = context.tensors("train", flat=True)
    test = [each[:2000] for each in context.tensors("test", flat=True)]
    net = _network(x.shape[1], int(y.max()) + 1, kind).to(context.device)
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)
    every, spent = max(1, steps // 50), 0.0
    found: dict[str, list[float]] = {"steps": [0], "seconds": [0.0], "accuracy": [_accuracy(net, *test)]}
    for step in range(1, steps + 1):
        chosen = torch.randint(len(x), (BATCH,)).to(context.device)
        start = _clock(context)
        optimizer.zero_grad()
        F.cross_entropy(net(x[chosen]), y[chosen]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        spent += _clock(context) - start
        if step % every == 0:
            for name, value in zip(found, (step, spent, _accuracy(net, *test)), strict=True):
                found[name].append(value)
        context.progress(step / steps)
    return found


def _network(features: int, outputs: int, kind: str) -> nn.Sequential:
    parts: list[nn.Module] = []
    for inputs in (features, WIDTH):
        linear = nn.Linear(inputs, WIDTH)
        nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
        parts += [linear, *([LAYERS[kind](WIDTH)] if kind in LAYERS else []), nn.ReLU()]
    return nn.Sequential(*parts, nn.Linear(WIDTH, outputs))


@torch.no_grad()
def _accuracy(net: nn.Module, x: Tensor, y: Tensor) -> float:
    net.eval()
    share = float((net(x).argmax(1) == y).float().mean())
    net.train()
    return share
