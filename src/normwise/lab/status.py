"""How far a study has come."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Status(NamedTuple):
    """How far a study has come: runs that ended, runs in all, steps made, steps in all."""

    runs_done: int
    runs: int
    steps_done: int
    steps: int


OnProgress = Callable[[Status], None]
