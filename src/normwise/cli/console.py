"""What every command prints with: results on stdout, progress and errors on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from normwise.lab.compare import Status


def fail(message: str, *, code: int) -> NoReturn:
    """Print one red line on stderr and exit."""
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True, soft_wrap=True).print(Text("error: " + " ".join(message.split()), style="red"))
    sys.exit(code)


@contextmanager
def progress() -> Iterator[Callable[[Status], None]]:
    """A progress bar over the steps of all runs; see ``bar``."""
    with bar() as update:
        yield lambda status: update(f"{status.runs_done} of {status.runs} runs done", status.steps_done, status.steps)


@contextmanager
def bar() -> Iterator[Callable[[str, float, float], None]]:
    """A progress bar, told what is being done, how much is done and how much there is; none outside a terminal.

    It appears with the first news, so that it does not write over the bar of a download, and is gone at the end.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    hidden = not console.is_terminal
    shown = Progress(*columns, console=console, transient=True, refresh_per_second=4, disable=hidden)
    task = shown.add_task("starting", total=None)

    def update(description: str, done: float, total: float) -> None:
        shown.start()
        shown.update(task, description=description, completed=done, total=total)

    try:
        yield update
    finally:
        shown.stop()


@contextmanager
def stdout_kept(keep: bool) -> Iterator[None]:
    """Send what anyone prints meanwhile, child processes included, to stderr, so that stdout holds the result alone."""
    if not keep:
        yield
        return
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object on stdout."""
    from normwise.records.files import dumps

    sys.stdout.write(dumps(value, indent=2) + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout, the first column to the left and the others to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", overflow="fold", no_wrap=index > 0)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def print_text(text: str) -> None:
    """Plain text on stdout, wrapped to the terminal."""
    from rich.console import Console
    from rich.text import Text

    Console().print(Text(text))
