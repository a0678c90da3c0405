"""Everything that a run needs to go on as if it had never stopped, in one safetensors file.

Tensors: ``weights.<name>`` the network's state dict, ``best.<name>`` that of the best step so far,
``optimizer.<parameter>.<name>`` the optimizer's state, ``rng`` torch's generator, ``rng.cuda`` the device's where there
is one, ``epoch_rng`` the random state of the batches when the epoch began. Metadata: the step, the batches used in this
epoch, the seconds spent, the lengths of the files of lines, and the step, value and age of the best evaluation.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from normwise.lab.batch import Batches, Position
from normwise.lab.best import Best
from normwise.records.files import replace, size

NAME = "checkpoint.safetensors"


class Progress(NamedTuple):
    """How far a run had come."""

    step: int
    seconds: float
    lengths: dict[str, int]


class State(NamedTuple):
    """What a checkpoint holds besides how far the run had come; ``read`` changes it in place."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    batches: Batches
    best: Best


def write(directory: Path, state: State, progress: Progress) -> None:
    """Write the checkpoint, whole or not at all."""
    position = state.batches.position()
    tensors = {f"weights.{name}": value for name, value in state.network.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in state.best.weights.items()}
    for index, kept in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in kept.items() if isinstance(value, Tensor)}
    tensors |= {"rng": torch.get_rng_state(), "epoch_rng": position.epoch_rng}
    device = next(state.network.parameters()).device
    if device.type == "cuda":
        tensors["rng.cuda"] = torch.cuda.get_rng_state(device)
    facts = {"used": position.used, "best": [state.best.step, state.best.value, state.best.since]}
    metadata = {name: json.dumps(value) for name, value in (progress._asdict() | facts).items()}
    replace(
        directory / NAME, save({name: value.detach().clone().contiguous() for name, value in tensors.items()}, metadata)
    )


def read(directory: Path, state: State) -> Progress:
    """Bring the state and the generators to where the checkpoint was taken.

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
    state.network.load_state_dict(below("weights", tensors))
    state.best.weights = below("best", tensors)
    state.best.step, state.best.value, state.best.since = json.loads(metadata["best"])
    kept: dict[int, dict[str, Any]] = {}
    for name, value in below("optimizer", tensors).items():
        index, _, key = name.partition(".")
        kept.setdefault(int(index), {})[key] = value
    groups = state.optimizer.state_dict()["param_groups"]
    state.optimizer.load_state_dict({"state": kept, "param_groups": groups})
    state.batches.seek(Position(tensors["epoch_rng"], json.loads(metadata["used"])))
    torch.set_rng_state(tensors["rng"])
    if "rng.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["rng.cuda"], next(state.network.parameters()).device)
    return progress


def below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with ``<prefix>.``, under the rest of their names."""
    return {name.removeprefix(f"{prefix}."): value for name, value in tensors.items() if name.startswith(f"{prefix}.")}


def load(directory: Path) -> dict[str, Tensor]:
    """Every tensor of the checkpoint, in memory of its own."""
    with safe_open(directory / NAME, framework="pt") as file:
        return {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - not a dict


def _metadata(directory: Path) -> dict[str, str]:
    with safe_open(directory / NAME, framework="pt") as file:
        return dict(file.metadata())
