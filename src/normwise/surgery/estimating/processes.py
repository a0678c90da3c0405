"""The same work on all processes of ``torch.distributed``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from torch import distributed

from normwise.errors import SurgeryError

Result = TypeVar("Result")


def rank() -> int:
    """This process's place in the process group; 0 where there is none."""
    return distributed.get_rank() if _in_group() else 0


def on_all(task: Callable[[], Result]) -> list[Result]:
    """What ``task()`` returned on each process, in the order of their ranks and the same list everywhere.

    Without a process group that is this process alone.

    Raises:
        BaseException: what the task raised here.
        SurgeryError: it raised elsewhere. No process waits for one that failed.
    """
    if not _in_group() or distributed.get_world_size() == 1:
        return [task()]
    result, error = None, None
    try:
        result = task()
    except BaseException as raised:
        error = raised
    told: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(told, (result, error and f"{type(error).__name__}: {error}"))
    if error is not None:
        raise error
    failed = [f"rank {index} raised {text}" for index, (_, text) in enumerate(told) if text is not None]
    if failed:
        raise SurgeryError(f"{'; '.join(failed)}; no process goes on without the others: cure that and call again")
    return [each for each, _ in told]


def _in_group() -> bool:
    return distributed.is_available() and distributed.is_initialized()
