"""The options of a comparison, and the command line that asks the same."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypedDict

Source = str | Callable[[], Any]


class Options(TypedDict, total=False):
    """The options of a comparison besides its arms and data: those of ``normwise compare``, under the same names.

    Every key of an arm is an option too, and holds for all arms that do not set it: see ``normwise.lab.arms.KEYS``.
    """

    model: Source | None
    data_dir: str | Path | None
    steps: int | str | None
    epochs: int | str | None
    seeds: int | str | None
    out: str | Path | None
    eval_every: int | str | None
    workers: int | str | None
    device: str | None
    norm: str | None
    place: str | None
    activation: str | None
    init: str | None
    lr: float | str | Sequence[float] | None
    schedule: str | None
    optimizer: str | None
    batch_size: int | str | None
    dropout: float | str | None
    weight_decay: float | str | None
    inputs: str | None


def text(value: Any) -> str:
    """An option's value as it would be written on the command line."""
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def command(arms: Sequence[str], data: str, model: str, options: Options) -> str:
    """The command line that asks the same."""
    words = ["normwise", "compare", "--data", data]
    for arm in arms:
        words += ["--arm", arm]
    for key, value in options.items():
        if value is not None:
            words += [f"--{key.replace('_', '-')}", model if key == "model" else text(value)]
    return shlex.join(words)
