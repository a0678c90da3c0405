"""``normwise compare``."""

from __future__ import annotations

import inspect
import webbrowser
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from normwise.cli import console
from normwise.lab.factory import RETURNS
from normwise.lab.options import GENERAL, flag
from normwise.lab.settings import KEYS

if TYPE_CHECKING:
    from normwise.lab.comparison import Comparison

PANEL = "Settings of every arm that does not set them itself"


LAST = ("json", "open_report")
"""The options that stand at the end of the help."""


def _with_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command, in place of its ``**options``, an option for each of ``GENERAL`` and for each key of an arm."""
    signature = inspect.signature(function, eval_str=True)
    own = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
    last = [each for each in own if each.name in LAST]
    parameters = [*(each for each in own if each not in last), *_options(), *last]
    function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {each.name: each.annotation for each in parameters}
    return function


def _options() -> Iterator[inspect.Parameter]:
    for name, option in GENERAL.items():
        if option.metavar:
            yield _option(name, str | None, metavar=option.metavar, help=option.help)
        else:
            yield _option(name, bool, metavar="", help=option.help)
    for name, key in KEYS.items():
        yield _option(name, str | None, metavar=f"{key.metavar}[,…]", help=key.help, rich_help_panel=PANEL)


def _option(name: str, kind: Any, **shown: str) -> inspect.Parameter:
    default = False if kind is bool else None
    annotation = Annotated[kind, Option(flag(name), **shown)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


@_with_options
def compare(
    *,
    arm: Annotated[
        list[str] | None,
        Option(
            metavar="ARM",
            help="A variant, '\\[name:] key=value, …'; repeat for more. By default plain and bn (norm=batch).",
        ),
    ] = None,
    data: Annotated[
        str,
        Option(
            metavar="DATA",
            help="digits, mnist, fashion-mnist, cifar10, diabetes, breast-cancer, wine, iris, a table as FILE.csv or "
            f"FILE.parquet, or your make_data as FILE.py:NAME or MODULE:NAME: {RETURNS['data function']}.",
        ),
    ] = "digits",
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
