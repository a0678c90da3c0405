"""``normwise compare``."""

from __future__ import annotations

import webbrowser
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from normwise.cli import console
from normwise.cli.options import DATA_HELP, with_options

if TYPE_CHECKING:
    from normwise.lab.comparison import Comparison


@with_options("Settings of every arm that does not set them itself")
def compare(
    *,
    arm: Annotated[
        list[str] | None,
        Option(
            metavar="ARM",
            help="A variant, '\\[name:] key=value, …'; repeat for more. By default plain and bn (norm=batch).",
        ),
    ] = None,
    data: Annotated[str, Option(metavar="DATA", help=DATA_HELP)] = "digits",
    json: Annotated[
        bool, Option("--json", metavar="", help="Print the result as one JSON object; progress goes to stderr.")
    ] = False,
    open_report: Annotated[bool, Option("--open", metavar="", help="Open the report in a browser.")] = False,
    **options: Any,
) -> None:
    """Train a network with and without batch normalization, side by side, and show what it did.

    Several values of a setting, as in --init xavier,he, are a sweep: each arm's best is chosen on validation data.

    Your own network and data: see examples/train.py in the sources.

    Example: normwise compare --data digits --arm plain --arm bn --arm "he: activation=relu, init=he"
    """
    from normwise.lab.compare import compare as run

    with console.stdout_kept(json), console.progress() as on_progress:
        result = run(tuple(arm or ("plain", "bn")), data, on_progress=on_progress, **options)
    if json:
        console.print_json(result.as_dict())
    else:
        show(result)
    if open_report:
        webbrowser.open(result.report.resolve().as_uri())
    if result.failed:
        raise typer.Exit(1)


def show(result: Comparison) -> None:
    """Print the table, the verdict, the ranking of several arms and where the report is."""
    console.print_table(*result.table)
    for note in result.notes:
        console.print_text(note)
    console.print_text(result.verdict)
    for line in result.ranking_lines:
        console.print_text(line)
    console.print_text(f"Report: {result.report}")
