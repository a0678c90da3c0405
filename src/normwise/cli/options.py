"""The options that every study's command has: the general ones, and one for each key of an arm."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any

from typer import Option

from normwise.lab.factory import RETURNS
from normwise.lab.options import GENERAL, flag
from normwise.lab.settings import KEYS

DATA_HELP = (
    "digits, mnist, fashion-mnist, cifar10, diabetes, breast-cancer, wine, iris, a table as FILE.csv or FILE.parquet, "
    f"or your make_data as FILE.py:NAME or MODULE:NAME: {RETURNS['data function']}."
)

LAST = ("json", "open_report")
"""The options that stand at the end of the help."""


def with_options(
    panel: str, *, several: bool = True, without: Sequence[str] = (), helps: Mapping[str, str] | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command, in place of its ``**options``, an option for each of ``GENERAL`` and for each key of an arm.

    Args:
        panel: the heading above the keys in the help.
        several: whether a key can be given several values.
        without: options of ``GENERAL`` that the command does not have.
        helps: what the help says of an option of ``GENERAL`` where that differs.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(function, eval_str=True)
        own = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
        last = [each for each in own if each.name in LAST]
        added = [*_general(without, helps or {}), *_keys(panel, several)]
        parameters = [*(each for each in own if each not in last), *added, *last]
        function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        function.__annotations__ = {each.name: each.annotation for each in parameters}
        return function

    return decorate


def _general(without: Sequence[str], helps: Mapping[str, str]) -> Iterator[inspect.Parameter]:
    for name, option in GENERAL.items():
        if name not in without:
            kind: Any = str | None if option.metavar else bool
            yield _option(name, kind, metavar=option.metavar, help=helps.get(name, option.help))


def _keys(panel: str, several: bool) -> Iterator[inspect.Parameter]:
    for name, key in KEYS.items():
        metavar = f"{key.metavar}[,…]" if several else key.metavar
        yield _option(name, str | None, metavar=metavar, help=key.help, rich_help_panel=panel)


def _option(name: str, kind: Any, **shown: str) -> inspect.Parameter:
    default = False if kind is bool else None
    annotation = Annotated[kind, Option(flag(name), **shown)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
