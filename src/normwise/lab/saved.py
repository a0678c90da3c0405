"""A run on disk as a network again."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from normwise.errors import DataError, JobError, RequestError
from normwise.lab import batches, checkpoint, networks
from normwise.lab.data import Data
from normwise.lab.data import load as load_data
from normwise.lab.data.loader_data import LoaderData
from normwise.lab.factory import Factory, resolve
from normwise.lab.settings import Settings
from normwise.records.files import read_json
from normwise.records.run import BEST, SETTINGS


class Saved(NamedTuple):
    """A run that was read back: its settings, its data and its network with the best weights, in evaluation mode."""

    settings: Settings
    data: Data | LoaderData
    network: nn.Module
    device: torch.device


def load(run: str | Path, *, data_dir: str | Path | None = None) -> nn.Module:
    """The network of a run with the weights of its best step, in evaluation mode, on the CPU.

    It takes inputs scaled as in training (``inputs``), and puts out scaled targets where a regression had
    ``targets=standard``.

    Args:
        run: the run's directory.
        data_dir: as for ``compare``.

    Raises:
        RequestError: there is no run, its record holds no weights, or its data or the code of its network are not what
            they were.

    Example:
        >>> network = load("runs/compare-digits-mlp/bn-0-0aa5f1e4da5c")  # doctest: +SKIP
    """
    return read(Path(run), data_dir=data_dir).network


def read(run: Path, *, data_dir: str | Path | None = None) -> Saved:
    """Read a run back; see ``load``."""
    directory = run.parent if run.name in (checkpoint.NAME, BEST) else run
    settings = _settings(directory, run)
    given = load_data(settings.data, data_dir=data_dir, target=settings.target)
    data = given.finish(settings.task)  # type: ignore[arg-type]
    if data.fingerprint != settings.fingerprint:
        raise DataError(
            f"{settings.data} is not what {directory} was trained on: its fingerprint is {data.fingerprint}, "
            f"that of the run {settings.fingerprint}; give the data of the run, by --data-dir or as its source was"
        )
    example = batches.first(data, settings, 2)
    with torch.random.fork_rng(devices=[]):
        network = networks.build(settings, example, _own(settings)).network
    try:
        network.load_state_dict(_weights(directory))
    except RuntimeError as error:
        raise RequestError(f"the weights in {directory} do not fit {settings.model}: {error}") from error
    return Saved(settings, data, network.eval(), torch.device("cpu"))


def _settings(directory: Path, given: Path) -> Settings:
    try:
        found = read_json(directory / SETTINGS)
        if isinstance(found, dict):
            return Settings.from_dict(found)
    except NotADirectoryError:
        pass
    except (JobError, OSError) as error:
        raise RequestError(f"cannot read {directory / SETTINGS}: {error}") from error
    except (TypeError, KeyError) as error:
        raise RequestError(
            f"{directory / SETTINGS} is not of this version of normwise ({error}); give the comparison's command again"
        ) from error
    inside = sorted(each.parent.name for each in directory.glob(f"*/{SETTINGS}"))
    runs = f"it holds the runs {', '.join(inside[:5])}: give one of them"
    hint = runs if inside else "normwise compare makes them"
    raise RequestError(f"{given} is no run, a folder with {SETTINGS} and {BEST}; {hint}")


def _weights(directory: Path) -> dict[str, torch.Tensor]:
    """The best weights; those of the checkpoint's best step for a run that has not ended."""
    try:
        if (directory / BEST).is_file():
            return load_file(directory / BEST)
        found = checkpoint.below("best", checkpoint.load(directory))
        if found:
            return found
        why = "no evaluation was finite"
    except (OSError, SafetensorError) as error:
        why = str(error)
    raise RequestError(f"{directory} has no {BEST} that can be read ({why}); run the comparison that it belongs to")


def _own(settings: Settings) -> Factory | None:
    """The user's ``make_model``, the same as in the run."""
    if "model" not in settings.own:
        return None
    own = resolve(settings.model, what="model")
    if own.source_hash != settings.own["model"]["source"]:
        raise RequestError(f"the source of {own.name} has changed since the run; bring back what it was")
    return own
