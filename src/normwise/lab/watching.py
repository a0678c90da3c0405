"""Recording a run's layers, gradients and updates, where that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from normwise.lab.objective import Objective
from normwise.probes.recorder import Recorder
from normwise.probes.watched_json import as_dict
from normwise.records.files import write_json
from normwise.records.run import WATCHED


class Watching:
    """A recorder of a run, or none; it leaves the run as it is.

    Args:
        network: the run's.
        optimizer: likewise.
        every: the distance between recorded steps; None records nothing.
    """

    def __init__(self, network: nn.Module, optimizer: torch.optim.Optimizer, every: int | None) -> None:
        self._recorder = None if every is None else Recorder(network, optimizer, every)
        self._entered = ExitStack()
        if self._recorder is not None:
            self._entered.enter_context(self._recorder)

    def step(self, loss: Tensor, objective: Objective, target: Any) -> None:
        """Say that an update was made."""
        if self._recorder is not None:
            self._recorder.step(loss, objective.compared(target))

    def once(self, update: Callable[[], Any]) -> None:
        """Make an update for the record alone: of a network whose loss is not finite to begin with."""
        if self._recorder is not None:
            update()

    def paused(self) -> AbstractContextManager[None]:
        """Record nothing of what the body does."""
        return nullcontext() if self._recorder is None else self._recorder.paused()

    def close(self) -> None:
        """Record no longer."""
        self._entered.close()

    def write(self, directory: Path, names: Mapping[str, str]) -> None:
        """Write what was recorded, under the names that layers have in the user's own network."""
        if self._recorder is not None:
            write_json(directory / WATCHED, _renamed(as_dict(self._recorder.watched()), names))


def renamed(layer: str, names: Mapping[str, str]) -> str:
    """``relu_2#3``, or ``block_1.relu#2``, under the name that the module had."""
    name, mark, call = layer.partition("#")
    module, dot, function = name.rpartition(".")
    known = names.get(name) or (f"{names[module]}{dot}{function}" if module in names else name)
    return f"{known}{mark}{call}"


def _renamed(plain: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    def of_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [row | {"layer": renamed(row["layer"], names)} for row in rows]

    def of_step(step: dict[str, Any]) -> dict[str, Any]:
        return step | {part: of_rows(step[part]) for part in ("weights", "units", "norms")}

    broken = plain["not_finite"]
    return plain | {
        "calls": of_rows(plain["calls"]),
        "observations": [of_step(step) for step in plain["observations"]],
        "not_finite": broken and broken | {"layer": renamed(broken["layer"], names)},
        "evaluating": [renamed(each, names) for each in plain["evaluating"]],
    }
