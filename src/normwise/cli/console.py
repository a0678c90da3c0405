"""What every command prints with: results on stdout, progress and errors on stderr."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any, Literal, NoReturn

if TYPE_CHECKING:
    from rich.console import Console

    from normwise.lab.status import Status


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


def note(text: str) -> None:
    """One line on stderr, above a progress bar."""
    print(text, file=sys.stderr, flush=True)


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


def print_json(value: Mapping[str, Any] | Sequence[Any]) -> None:
    """One JSON object, or a list, on stdout."""
    from normwise.records.files import dumps

    sys.stdout.write(dumps(value, indent=2) + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> None:
    """A table on stdout, the first ``left`` columns to the left and the others to the right.

    Where the terminal is too narrow, headers and remarks in parentheses take several lines, then names do; where even
    that would break names up, each row is a list of its own.
    """
    from rich.console import Console

    console = Console()
    widths = fitting(columns, rows, console.width)
    if widths is None:
        _print_lists(console, columns, rows)
    else:
        _print_grid(console, columns, rows, widths, left)


BETWEEN = 2  # a space of padding, and one between columns
SENTENCE = 24  # a cell that is longer is a sentence
NAME = 16  # a name that is given less is not easily read


def fitting(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """The widths of a table's columns within ``width``; None where it cannot be so narrow.

    A column is at least as wide as its longest piece, a word of its header or a part of a cell: see ``_pieces``. The
    first has names: it is as wide as the longest, or at least ``NAME``.
    """
    from rich.cells import cell_len

    cells = [[row[index] for row in rows] for index in range(len(columns))]
    whole = [max(map(cell_len, (head, *column))) for head, column in zip(columns, cells, strict=True)]
    least = [
        max(map(cell_len, (*head.split(), *(piece for cell in column for piece in _pieces(cell)))))
        for head, column in zip(columns, cells, strict=True)
    ]
    room = width - BETWEEN * (len(columns) - 1) - sum(least[1:])
    if room < min(whole[0], NAME):
        return None
    widths = [min(whole[0], room), *least[1:]]
    room -= widths[0]
    for index in range(1, len(widths)):
        more = min(room, whole[index] - widths[index])
        widths[index] += more
        room -= more
    return widths


def _pieces(cell: str) -> list[str]:
    """What of a cell stays on one line: the words of a sentence; else what stands before, and in, parentheses."""
    return cell.split() if len(cell) > SENTENCE else re.split(r" (?=\()|(?<=,) ", cell)


def _print_grid(
    console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int], left: int
) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for index, (column, width) in enumerate(zip(columns, widths, strict=True)):
        justify: Literal["left", "right"] = "left" if index < left else "right"
        table.add_column(Text(column), justify=justify, overflow="fold", width=width, vertical="top")
    for row in rows:
        table.add_row(*(Text(_broken(cell, width)) for cell, width in zip(row, widths, strict=True)))
    console.print()
    console.print(table)
    console.print()


def _broken(cell: str, width: int) -> str:
    """A cell that is wider than its column begins a line with what stands in parentheses."""
    from rich.cells import cell_len

    return cell if cell_len(cell) <= width else cell.replace(" (", "\n(")


def _print_lists(console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    for row in rows:
        values = Table.grid(padding=(0, 2))
        for column, cell in zip(columns[1:], row[1:], strict=True):
            if cell:
                values.add_row(Text(column), Text(cell))
        console.print()
        console.print(Text(row[0], style="bold"))
        console.print(Padding(values, (0, 0, 0, 2), expand=False))
    console.print()


def print_entries(entries: Sequence[tuple[str, str, str]]) -> None:
    """Names in bold, each with a remark behind it and a sentence below, cut to one line."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    widest = max((len(name) for name, _, _ in entries), default=0)
    for name, remark, sentence in entries:
        first = Text.assemble((name.ljust(widest + 2), "bold"), remark)
        for line in (first, Text(f"  {sentence}", style="dim")):
            line.truncate(console.width, overflow="ellipsis")
            console.print(line)


def print_text(text: str) -> None:
    """Plain text on stdout, wrapped to the terminal."""
    from rich.console import Console
    from rich.text import Text

    Console().print(Text(text))


def print_code(text: str) -> None:
    """Text on stdout whose lines stay whole, so that code can be copied from a narrow terminal."""
    from rich.console import Console
    from rich.text import Text

    Console().print(Text(text), soft_wrap=True)


def print_paragraph(heading: str, text: str, color: str) -> None:
    """A colored heading, a sentence or more below it and an empty line, on stdout."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    console.print(Text(heading, style=f"bold {color}"))
    for line in Text(text).wrap(console, console.width - 2):
        line.rstrip()
        console.print(Text("  ") + line)
    console.print()
