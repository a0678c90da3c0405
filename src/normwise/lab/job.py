"""What passes between a study and the process of one of its runs. Plain data: nothing here needs torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple


class Job(NamedTuple):
    """What one run needs to know.

    Attributes:
        directory: the run's directory.
        settings: the resolved settings, which also decide the directory's name.
        own: the user's ``make_model``, by name or as it is; None for a built-in network.
        seconds_between_checkpoints: how much work may be lost when the process is killed.
    """

    directory: Path
    settings: dict[str, Any]
    own: str | Callable[[], Any] | None = None
    seconds_between_checkpoints: float = 2.0


class Message(NamedTuple):
    """What a run tells the study.

    Attributes:
        step: how many steps it has made.
        disk: what the operating system said when the record could not be written, else None.
    """

    step: int = 0
    disk: str | None = None
