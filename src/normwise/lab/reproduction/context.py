"""What a measurement is given besides its parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from normwise.lab.data import Data, Scaling


@dataclass(frozen=True)
class Context:
    """A measurement's surroundings.

    Attributes:
        seed: its seed; torch's generator has it already.
        device: where to compute.
        loaded: the data, unscaled; None where the measurement named none.
        progress: told which share of the work is done, from 0 to 1; it costs nothing to call it often.
    """

    seed: int
    device: torch.device
    loaded: Data | None = None
    progress: Callable[[float], None] = lambda share: None

    @property
    def data(self) -> Data:
        """The data, unscaled: numpy arrays ``X`` and ``y`` of ``train``, ``validation`` and ``test``."""
        if self.loaded is None:
            raise ValueError("the measurement names no data; give Measurement(data=…)")
        return self.loaded

    @property
    def rng(self) -> np.random.Generator:
        """A new numpy generator with the measurement's seed."""
        return np.random.default_rng(self.seed)

    def tensors(self, part: str, inputs: str = "minmax", *, flat: bool = False) -> tuple[Tensor, Tensor]:
        """Inputs and targets of a part on the device, scaled by a map that is fitted on the training part.

        Args:
            part: ``train``, ``validation`` or ``test``.
            inputs: ``raw``, ``minmax``, ``standard`` or ``binary``.
            flat: whether each example becomes a vector.
        """
        scaling = Scaling.fit(inputs, self.data.train.X)
        there = {"train": self.data.train, "validation": self.data.validation, "test": self.data.test}[part]
        X = torch.from_numpy(scaling.apply(there.X)).to(self.device)
        return X.flatten(1) if flat else X, torch.from_numpy(there.y).to(self.device)
