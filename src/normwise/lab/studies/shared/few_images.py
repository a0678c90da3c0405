"""Training a deep network on few images: what the studies of overfitting measure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from normwise.lab.data import Scaling
from normwise.lab.networks import initialise
from normwise.lab.reproduction.context import Context
from normwise.nn import BatchNorm1d

WIDTH, DEPTH, BATCH = 100, 6, 100
"""784-100×6-10 in batches of 100: Deep Learning from Scratch, overfit_weight_decay.py and overfit_dropout.py."""

OTHERS = {"validation": 2000, "test": 5000}
"""How many other images are measured (ours; the book takes all 10,000): the standard error is at most 0.7 points."""


class DropoutOfTheNote(nn.Module):
    """Dropout as the code in note 004 has it: y = x·mask in training, y = x·(1 − p) in evaluation.

    torch's divides by 1 − p in training and does nothing in evaluation.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Drop, or scale."""
        return x * (torch.rand_like(x) > self.p) if self.training else x * (1 - self.p)


DROPOUTS = {"torch": nn.Dropout, "note": DropoutOfTheNote}


def fit(
    context: Context, *, images: int, at: Sequence[int], lr: float,
    weight_decay: float = 0.0, dropout: float = 0.0, form: str = "torch", norm: bool = False,
) -> Mapping[str, Any]:  # fmt: skip
    """Train on a few images up to the last epoch of ``at``, and measure accuracy and weights at each of them.

    Seed 0 has the first images of the training part, seed 1 the next ones, and so on, so that a spread over seeds is
    also one over images. Batches are drawn with replacement and only weights decay, not biases, as in the book.

    Returns:
        Lists ``epoch``, ``train``, ``validation``, ``test`` (accuracy in evaluation mode) and ``norm``, the root of the
        sum of all squared weights.
    """
    parts = {"train": _part(context, "train", context.seed * images, images)}
    parts |= {name: _part(context, name, 0, count) for name, count in OTHERS.items()}
    X, y = parts["train"]
    network = _network(X.shape[1], dropout, form, norm).to(context.device)
    weights = [module.weight for module in network if isinstance(module, nn.Linear)]
    rest = [each for each in network.parameters() if all(each is not weight for weight in weights)]
    groups: list[dict[str, Any]] = [{"params": weights, "weight_decay": weight_decay}, {"params": rest}]
    optimizer = torch.optim.SGD(groups, lr=lr)
    found: dict[str, list[float]] = {name: [] for name in ("epoch", *parts, "norm")}
    for epoch in range(at[-1] + 1):
        if epoch in at:
            found["epoch"].append(epoch)
            for name, part in parts.items():
                found[name].append(_accuracy(network, *part))
            found["norm"].append(math.sqrt(sum(weight.square().sum().item() for weight in weights)))
            context.progress(epoch / at[-1])
        for _ in range(len(y) // BATCH if epoch < at[-1] else 0):
            rows = torch.randint(len(y), (BATCH,)).to(context.device)
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(X[rows]), y[rows]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return found


def _part(context: Context, name: str, first: int, count: int) -> tuple[Tensor, Tensor]:
    part = {"train": context.data.train, "validation": context.data.validation, "test": context.data.test}[name]
    rows = (first + np.arange(min(count, len(part)))) % len(part)
    inputs = Scaling.fit("minmax", context.data.train.X).apply(part.X[rows])
    return torch.from_numpy(inputs).flatten(1).to(context.device), torch.from_numpy(part.y[rows]).to(context.device)


def _network(inputs: int, dropout: float, form: str, norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for fan_in in (inputs, *(DEPTH - 1) * (WIDTH,)):
        layers += [nn.Linear(fan_in, WIDTH, bias=not norm), *([BatchNorm1d(WIDTH)] if norm else []), nn.ReLU()]
        layers += [DROPOUTS[form](dropout)] if dropout else []
    network = nn.Sequential(*layers, nn.Linear(WIDTH, 10))
    initialise(network, "he")
    return network


@torch.no_grad()
def _accuracy(network: nn.Module, X: Tensor, y: Tensor) -> float:
    network.eval()
    right = (network(X).argmax(1) == y).float().mean().item()
    network.train()
    return float(right)
