"""Everything that a run needs to go on as if it had never stopped, in one safetensors file.

Tensors: ``weights.<name>`` the network's state dict, ``optimizer.<parameter>.<name>`` the optimiser's state, ``rng``
torch's generator, ``rng.cuda`` the device's where there is one, ``epoch_rng`` the generator of the batches when the
epoch began. Metadata: the step, the batches used in this epoch, the seconds spent, and the lengths of the files of
lines.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from normwise.lab.batches import Batches, Position
from normwise.records.files import replace, size

NAME = "checkpoint.safetensors"


class Progress(NamedTuple):
    """How far a run had come."""

    step: int
    seconds: float
    lengths: dict[str, int]


def write(
    directory: Path, network: nn.Module, optimizer: torch.optim.Optimizer, batches: Batches, progress: Progress
) -> None:
    """Write the checkpoint, whole or not at all."""
    position = batches.position()
    tensors = {f"weights.{name}": value for name, value in network.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items() if isinstance(value, Tensor)}
    tensors |= {"rng": torch.get_rng_state(), "epoch_rng": position.epoch_rng}
    device = next(network.parameters()).device
    if device.type == "cuda":
        tensors["rng.cuda"] = torch.cuda.get_rng_state(device)
    metadata = {"used": str(position.used), **{name: json.dumps(value) for name, value in progress._asdict().items()}}
    replace(
        directory / NAME, save({name: value.detach().clone().contiguous() for name, value in tensors.items()}, metadata)
    )


def read(directory: Path, network: nn.Module, optimizer: torch.optim.Optimizer, batches: Batches) -> Progress:
    """Bring network, optimiser, batches and generators to where the checkpoint was taken.

    Returns:
        How far the run had come; the very beginning where there is no checkpoint, or none that fits the record.
    """
    try:
        tensors, metadata = load(directory), _metadata(directory)
    except (FileNotFoundError, SafetensorError):
        return Progress(0, 0.0, {})
    progress = Progress(**{name: json.loads(metadata[name]) for name in Progress._fields})
    if any(size(directory / name) < length for name, length in progress.lengths.items()):
        return Progress(0, 0.0, {})
    network.load_state_dict(
        {name.removeprefix("weights."): value for name, value in tensors.items() if name.startswith("weights.")}
    )
    state: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "optimizer":
            index, _, key = rest.partition(".")
            state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    batches.seek(Position(tensors["epoch_rng"], int(metadata["used"])))
    torch.set_rng_state(tensors["rng"])
    if "rng.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["rng.cuda"], next(network.parameters()).device)
    return progress


def load(directory: Path) -> dict[str, Tensor]:
    """Every tensor of the checkpoint, in memory of its own."""
    with safe_open(directory / NAME, framework="pt") as file:
        return {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - not a dict


def _metadata(directory: Path) -> dict[str, str]:
    with safe_open(directory / NAME, framework="pt") as file:
        return dict(file.metadata())
