"""Reading a trained network's weights from a file, without unpickling anything."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from normwise.errors import RequestError, first_line
from normwise.nn.kinds import is_batch_norm
from normwise.surgery import walk

HOLDERS = ("state_dict", "model_state_dict", "model", "network")
"""The keys under which a checkpoint may have its state dict; the first of these that it has."""
PREFIXES = ("module.", "_orig_mod.")
"""What ``DataParallel`` and ``torch.compile`` put before every name."""
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
MOST_NAMED = 3
SAVE = "torch.save(net.state_dict(), 'weights.pt')"
PICKLED = (".pt", ".pth", ".ckpt", ".bin")


def load_weights(network: nn.Module, path: str | Path) -> tuple[str, ...]:
    """Load the weights of a network from a file, in place.

    Args:
        network: the network, on any device.
        path: a ``.safetensors`` file; or a ``.pt``, ``.pth``, ``.ckpt`` or ``.bin`` file with a state dict, or a dict
            that has one under ``state_dict``, ``model_state_dict``, ``model`` or ``network``, which is read with
            ``weights_only=True``. ``module.`` and ``_orig_mod.`` before every name are taken off.

    Returns:
        The names of the buffers of batch normalizations that the file lacks; these are as they were.

    Raises:
        RequestError: (a ValueError) there is no such file, it holds no weights, or they do not fit. The network is
            as it was.
    """
    given = _without_prefixes(_state_dict(Path(path)))
    own = network.state_dict()
    buffers = {
        f"{name}.{buffer}".lstrip(".") for name, _ in walk.find(network, is_batch_norm) for buffer in BUFFERS
    } & set(own)
    missing = [name for name in own if name not in given]
    _check(network, Path(path), given, own, [name for name in missing if name not in buffers])
    try:
        network.load_state_dict({**own, **given})
    except RuntimeError as error:
        raise RequestError(f"{path} does not fit {type(network).__name__}: {first_line(error)}") from error
    return tuple(missing)


def _state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors in a file, by name."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise RequestError(f"{path} {what}; give the file with the weights, .safetensors or .pt")
    if path.suffix not in (".safetensors", *PICKLED):
        raise RequestError(
            f"{path} is no file of weights by its name; allowed: .safetensors, {', '.join(PICKLED)}; save them with "
            f"{SAVE}"
        )
    found = _safetensors(path) if path.suffix == ".safetensors" else _pickled(path)
    if not found:
        raise RequestError(f"{path} holds no weights; save them with {SAVE}")
    return found


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise RequestError(f"{path} cannot be read as safetensors: {first_line(error)}; save it again") from error


def _pickled(path: Path) -> dict[str, Tensor]:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if _is_torch_file(path):
            raise RequestError(
                f"{path} holds more than weights, a whole network for example, and that would have to be unpickled, "
                f"which runs code: load it where you trust it, and save its weights alone with {SAVE}"
            ) from error
        raise RequestError(_unreadable(path, error)) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise RequestError(_unreadable(path, error)) from error
    return _inside(found, path)


def _unreadable(path: Path, error: Exception) -> str:
    return f"{path} cannot be read as weights ({first_line(error)}); save them with {SAVE}"


def _is_torch_file(path: Path) -> bool:
    """Whether a file was written by ``torch.save``, now a zip archive and once a pickle."""
    return zipfile.is_zipfile(path) or path.read_bytes()[:1] == b"\x80"


def _inside(found: Any, path: Path) -> dict[str, Tensor]:
    """The state dict in what a file holds."""
    if isinstance(found, Mapping):
        holder = next((found[key] for key in HOLDERS if isinstance(found.get(key), Mapping)), found)
        tensors = {str(name): value for name, value in holder.items() if isinstance(value, Tensor)}
        if tensors:
            return tensors
        keys = ", ".join(map(str, list(found)[:10])) or "none"
        raise RequestError(f"{path} holds no state dict: its keys are {keys}; save one with {SAVE}")
    raise RequestError(f"{path} holds a {type(found).__name__}; save weights with {SAVE}")


def _without_prefixes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for _ in PREFIXES:
        for prefix in PREFIXES:
            if all(name.startswith(prefix) for name in tensors):
                tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    return tensors


def _check(
    network: nn.Module, path: Path, given: Mapping[str, Tensor], own: Mapping[str, Any], missing: list[str]
) -> None:
    """Refuse weights that do not fit, in one line."""
    unexpected = [name for name in given if name not in own]
    shapes = [
        f"{name} is {tuple(value.shape)} in the file and {tuple(own[name].shape)} in the network"
        for name, value in given.items()
        if name in own and value.shape != own[name].shape
    ]
    problems = [
        *([f"the file lacks {_named(missing)}"] if missing else []),
        *([f"the network has no {_named(unexpected)}"] if unexpected else []),
        *shapes[:MOST_NAMED],
    ]
    if problems:
        raise RequestError(
            f"{path} does not fit {type(network).__name__}: {'; '.join(problems)}; give the weights of this network, "
            "or the network (--model) that they are of"
        )


def _named(names: Iterable[str]) -> str:
    known = list(names)
    more = f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
    return f"{', '.join(known[:MOST_NAMED])}{more}"
