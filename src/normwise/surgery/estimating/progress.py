"""A progress bar for what takes more than two seconds."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

DELAY = 2.0  # seconds


@contextlib.contextmanager
def bar(description: str, total: int | None, *, show: bool = True) -> Iterator[Callable[[], None]]:
    """A bar on stderr, gone at the end; none outside a terminal, or where ``rich`` is not installed.

    Args:
        description: what is being done.
        total: how many steps there are, or None where nobody knows.
        show: whether there is a bar at all.

    Yields:
        A function to call after each step.
    """
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        show = False
    if not show or sys.stderr is None or not sys.stderr.isatty():
        yield lambda: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    shown = Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=4)
    task, began = shown.add_task(description, total=total), time.monotonic()

    def advance() -> None:
        shown.advance(task)
        if time.monotonic() - began >= DELAY:
            shown.start()

    try:
        yield advance
    finally:
        shown.stop()
