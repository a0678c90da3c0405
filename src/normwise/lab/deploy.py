"""From a run on disk to a file for inference."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from normwise.errors import RequestError
from normwise.lab import batches
from normwise.lab.data import Scaling
from normwise.lab.data.loader_data import LoaderData
from normwise.lab.saved import Saved, read
from normwise.lab.settings import Settings
from normwise.surgery import Change, estimate_population, export
from normwise.surgery.compiled import has_statistics
from normwise.surgery.fold import FOLDED

EXAMPLES = 4
"""Training examples on which the file is compared with the network."""


class Deployed(NamedTuple):
    """What became of a run.

    Attributes:
        path: the file.
        settings: the run's settings.
        changes: what became of each normalization.
        difference: the largest difference between the file's outputs and the network's, relative to the largest.
        scaling: the map of the inputs that the network was trained with, which is not in the file.
    """

    path: Path
    settings: Settings
    changes: list[Change]
    difference: float
    scaling: Scaling

    @property
    def folded(self) -> int:
        """How many normalizations are gone."""
        return sum(change.why.startswith(FOLDED) for change in self.changes)

    def as_dict(self) -> dict[str, Any]:
        """The result as plain data; of ``inputs`` that are ``binary`` an input is 1 above ``shift`` and else 0."""
        return {
            "path": str(self.path),
            "settings": self.settings.as_dict(),
            "folded": self.folded,
            "changes": [change._asdict() for change in self.changes],
            "difference": self.difference,
            "inputs": {
                "how": self.settings.inputs,
                "shift": self.scaling.shift.ravel().tolist(),
                "factor": self.scaling.factor.ravel().tolist(),
            },
        }


def deploy(run: Path, out: Path, *, data_dir: Path | None = None) -> Deployed:
    """Rebuild a run's network with its best weights, estimate its population statistics, fold it and write it.

    The statistics are those of the training data, in batches as in training. Source: Ioffe & Szegedy 2015,
    arXiv:1502.03167, Algorithm 2. What the file puts out is in the unit of the targets.

    Args:
        run: the run's directory, or a file in it.
        out: the file, ``.onnx`` or ``.pt2``.
        data_dir: as for ``compare``.

    Raises:
        RequestError: there is no run, its data or the code of its network are not what they were, its data are read
            batch by batch, or what ``export`` raises.
    """
    saved = read(run, data_dir=data_dir)
    if isinstance(saved.data, LoaderData):
        raise RequestError(
            f"{saved.data.name} is read batch by batch; load the network by normwise.lab.load and write it by "
            "normwise.export, with an example of yours"
        )
    scaling = Scaling.fit(saved.settings.inputs or "raw", saved.data.train.X)
    inputs = batches.tensors(saved.data, saved.settings, saved.device)["train"][0]
    if has_statistics(saved.network):
        estimate_population(saved.network, torch.split(inputs, saved.settings.batch_size or EXAMPLES), progress=False)
    network = _in_own_unit(saved).eval()
    written = export(network, out, inputs[:EXAMPLES])
    return Deployed(written.path, saved.settings, written.changes, written.difference, scaling)


def _in_own_unit(saved: Saved) -> nn.Module:
    """The network, followed, where it was trained on scaled targets, by the map back into their unit."""
    scaling = batches.target_scaling(saved.data, saved.settings.targets)
    return saved.network if scaling is None else nn.Sequential(OrderedDict(network=saved.network, unit=_Unit(*scaling)))


class _Unit(nn.Module):
    """The map y ↦ y/factor + shift."""

    shift: Tensor
    factor: Tensor

    def __init__(self, shift: np.ndarray, factor: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("shift", torch.as_tensor(shift))
        self.register_buffer("factor", torch.as_tensor(factor))

    def forward(self, y: Tensor) -> Tensor:
        y = y.reshape(len(y), *self.shift.shape) if self.shift.ndim else y
        return y / self.factor + self.shift
