"""What passes between a study and the process of one of its runs. Plain data: nothing here needs torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from normwise.lab.settings import Settings


class Work(Protocol):
    """What a process of a study is given to do."""

    @property
    def directory(self) -> Path:
        """Where its record goes."""

    @property
    def function(self) -> str:
        """What does it, ``module:function``: called with this, the data, and what is told the number of steps made.

        It is named so that a study's own process need not load it.
        """


@dataclass(frozen=True)
class Job:
    """What one run needs to know.

    Attributes:
        directory: the run's directory.
        settings: the resolved settings, which also decide the directory's name.
        own: the user's functions, by name or as they are, by what they are for: ``model``, ``loss``, ``metric``.
        seconds_between_checkpoints: how much work may be lost when the process is killed.
        tensorboard: whether what is measured is also written as events of TensorBoard.
        watch: the distance between steps whose layers, gradients and updates are recorded; None records none.
    """

    directory: Path
    settings: Settings
    own: Mapping[str, str | Callable[..., Any]] = field(default_factory=dict)
    seconds_between_checkpoints: float = 2.0
    tensorboard: bool = False
    watch: int | None = None

    @property
    def function(self) -> str:
        """What trains it."""
        return "normwise.lab.train:train"


class Message(NamedTuple):
    """What a run tells the study.

    Attributes:
        step: how many steps it has made.
        disk: what the operating system said when the record could not be written, else None.
    """

    step: int = 0
    disk: str | None = None
