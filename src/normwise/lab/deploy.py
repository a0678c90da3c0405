"""From a run on disk to a file for inference."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from torch import nn

from normwise.errors import DataError, RequestError
from normwise.lab import checkpoint, networks
from normwise.lab.data import Data, Scaling, load
from normwise.lab.factory import Factory, resolve
from normwise.records.files import read_json
from normwise.records.run import SETTINGS
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
    settings: dict[str, Any]
    changes: list[Change]
    difference: float
    scaling: Scaling

    @property
    def folded(self) -> int:
        """How many normalizations are gone."""
        return sum(change.why.startswith(FOLDED) for change in self.changes)

    def as_dict(self) -> dict[str, Any]:
        """The result as plain data."""
        return {
            "path": str(self.path),
            "settings": self.settings,
            "folded": self.folded,
            "changes": [change._asdict() for change in self.changes],
            "difference": self.difference,
            "inputs": {
                "how": self.settings["inputs"],
                "shift": self.scaling.shift.ravel().tolist(),
                "factor": self.scaling.factor.ravel().tolist(),
            },
        }


def deploy(run: Path, out: Path, *, data_dir: Path | None = None) -> Deployed:
    """Rebuild the network of a run, load its weights, estimate its population statistics, fold it and write it.

    The statistics are those of the training data, in batches as in training. Source: Ioffe & Szegedy 2015,
    arXiv:1502.03167, Algorithm 2.

    Args:
        run: the run's directory, or its checkpoint.
        out: the file, ``.onnx`` or ``.pt2``.
        data_dir: as for ``compare``.

    Raises:
        RequestError: there is no run, its data or the code of its network are not what they were, or what ``export``
            raises.
    """
    directory = run.parent if run.name == checkpoint.NAME else run
    settings = _settings(directory, run)
    data = load(settings["data"], data_dir=data_dir)
    if data.fingerprint != settings["fingerprint"]:
        raise DataError(
            f"{settings['data']} is not what {directory} was trained on: its fingerprint is {data.fingerprint}, "
            f"that of the run {settings['fingerprint']}; give the data of the run (--data-dir)"
        )
    network = _network(directory, settings, data)
    scaling = Scaling.fit(settings["inputs"], data.train.X)
    inputs = torch.from_numpy(scaling.apply(data.train.X))
    if has_statistics(network):
        estimate_population(network, torch.split(inputs, settings["batch_size"]), progress=False)
    written = export(network.eval(), out, inputs[:EXAMPLES])
    return Deployed(written.path, settings, written.changes, written.difference, scaling)


def _settings(directory: Path, given: Path) -> dict[str, Any]:
    try:
        settings = read_json(directory / SETTINGS)
    except NotADirectoryError:
        settings = None
    except (ValueError, OSError) as error:
        raise RequestError(f"cannot read {directory / SETTINGS}: {error}") from error
    if not isinstance(settings, dict) or not {"model", "data", "fingerprint", "inputs"} <= settings.keys():
        inside = sorted(each.parent.name for each in directory.glob(f"*/{SETTINGS}"))
        runs = f"it holds the runs {', '.join(inside[:5])}: give one of them"
        hint = runs if inside else "normwise compare makes them"
        raise RequestError(f"{given} is no run, a folder with {SETTINGS} and {checkpoint.NAME}; {hint}")
    return settings


def _network(directory: Path, settings: Mapping[str, Any], data: Data) -> nn.Module:
    own = _own(settings)
    with torch.random.fork_rng(devices=[]):
        network = networks.build(settings, data.example_shape, data.classes, own)
    try:
        tensors = checkpoint.load(directory)
    except (OSError, SafetensorError) as error:
        raise RequestError(
            f"{directory} has no {checkpoint.NAME} that can be read ({error}); run the comparison that it belongs to"
        ) from error
    weights = {name.removeprefix("weights."): value for name, value in tensors.items() if name.startswith("weights.")}
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise RequestError(f"the weights in {directory} do not fit {settings['model']}: {error}") from error
    return network


def _own(settings: Mapping[str, Any]) -> Factory | None:
    """The user's ``make_model``, the same as in the run."""
    if settings["own_model"] is None:
        return None
    own = resolve(settings["model"], what="model")
    if own.source_hash != settings["own_model"]["source"]:
        raise RequestError(f"the source of {own.name} has changed since the run; bring back what it was")
    return own
