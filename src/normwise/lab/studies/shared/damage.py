"""One weight of a trained network is multiplied: what the layers make of it, and the training after it."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from normwise.lab import networks
from normwise.lab.batch import Batch
from normwise.lab.reproduction.context import Context
from normwise.lab.settings import Settings

FACTORS = (10, 100, 1000)
MODEL, RATE, BATCH, PROBED = "mlp:100x4", 0.1, 60, 500
"""Four hidden ReLU layers, SGD's learning rate, the batch size and the validation examples measured on: ours."""

EVERY = 10
"""Steps between two measurements of the loss."""


class Batches:
    """The same random batches for the same seed."""

    def __init__(self, X: Tensor, y: Tensor, seed: int) -> None:
        self.X, self.y, self._generator = X, y, torch.Generator().manual_seed(seed)

    def next(self) -> tuple[Tensor, Tensor]:
        """The next one."""
        rows = torch.randint(len(self.y), (BATCH,), generator=self._generator).to(self.X.device)
        return self.X[rows], self.y[rows]


def train(network: nn.Module, batches: Batches, steps: int) -> None:
    """Steps of SGD."""
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE)
    for _ in range(steps):
        X, y = batches.next()
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(X), y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def probed(network: nn.Module, X: Tensor, y: Tensor) -> tuple[list[Tensor], float | None]:
    """What each hidden layer hands on, and the loss, with the batch's own statistics; None for one not finite."""
    there, found = copy.deepcopy(network).train(), []
    for name, module in there.named_children():
        if isinstance(module, nn.Linear) and name != "linear1":
            module.register_forward_pre_hook(lambda _, args: found.append(args[0]))
    with torch.no_grad():
        loss = nn.functional.cross_entropy(there(X), y).item()
    return found, loss if math.isfinite(loss) else None


def damage(network: nn.Module, X: Tensor, factor: float) -> tuple[int, int]:
    """Multiply the largest weight of the input that varies most; its unit and its input."""
    weight = network.get_parameter("linear1.weight")
    pixel = int(X.var(0).argmax())
    unit = int(weight[:, pixel].abs().argmax())
    with torch.no_grad():
        weight[unit, pixel] *= factor
    return unit, pixel


def damaged(context: Context, keys: Mapping[str, Any], before: int, after: int) -> Mapping[str, Any]:
    """By factor: the deviation of each layer, the loss over the steps since, and what the weight was and became."""
    (X, y), (seen, labels) = (context.tensors(part, flat=True) for part in ("train", "validation"))
    seen, labels = seen[:PROBED], labels[:PROBED]
    settings = Settings(model=MODEL, activation="relu", init="he", outputs=10, **keys)
    torch.manual_seed(context.seed)
    trained = networks.build(settings, Batch((X[:BATCH],), {}, y[:BATCH], BATCH)).network.to(context.device)
    train(trained, Batches(X, y, context.seed), before)
    layers, _ = probed(trained, seen, labels)
    found = {}
    for place, factor in enumerate((1, *FACTORS)):
        network, batches = copy.deepcopy(trained), Batches(X, y, context.seed + 1000)
        unit, pixel = damage(network, X, factor)
        weights = [network.get_parameter("linear1.weight")[unit, pixel].item()]
        changed, loss = probed(network, seen, labels)
        deviations = [((new - old).norm() / old.norm()).item() for new, old in zip(changed, layers, strict=True)]
        losses = [loss]
        for _ in range(after // EVERY):
            train(network, batches, EVERY)
            losses.append(probed(network, seen, labels)[1])
        weights.append(network.get_parameter("linear1.weight")[unit, pixel].item())
        found[str(factor)] = {"deviations": deviations, "losses": losses, "weights": weights}
        context.progress((place + 1) / (1 + len(FACTORS)))
    return found
