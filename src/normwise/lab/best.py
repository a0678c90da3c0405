"""The best evaluation of a run so far, with the weights that it was made with."""

from __future__ import annotations

import math
from pathlib import Path

from safetensors.torch import save
from torch import Tensor, nn

from normwise.records.files import replace
from normwise.records.metric import Metric
from normwise.records.run import BEST


class Best:
    """The first evaluation with the best validation metric.

    Attributes:
        step: of that evaluation; None where none was finite.
        value: its validation metric.
        since: how many evaluations that count followed it, or were made where none was finite.
        weights: the network's state dict, copied.
    """

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self.step: int | None = None
        self.value = math.nan
        self.since = 0
        self.weights: dict[str, Tensor] = {}

    def note(self, step: int, value: float, network: nn.Module, *, counts: bool = True) -> None:
        """Take note of an evaluation; ``counts`` is whether one that is no better tries the run's patience."""
        if math.isfinite(value) and (self.step is None or self._metric.better(value, self.value)):
            self.step, self.value, self.since = step, value, 0
            self.weights = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
        elif counts:
            self.since += 1

    def write(self, directory: Path) -> None:
        """Write the weights, whole or not at all."""
        replace(directory / BEST, save({name: value.cpu().contiguous() for name, value in self.weights.items()}))
